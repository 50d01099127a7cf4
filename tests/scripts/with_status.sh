#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# with_status.sh PROGRAM [ARGUMENT...] -- runs it, and prints its exit status
# for ctest, which checks either the output or the status

"$@"
status=$?
echo "exit status $status"
exit $status
