#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# with_status.sh PROGRAM [ARGUMENT...] -- runs it, and says how it ended, for
# ctest, which looks at the output or at the status but not at both

"$@"
status=$?
echo "exit status $status"
exit $status
