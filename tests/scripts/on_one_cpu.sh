#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# on_one_cpu.sh PROGRAM [ARGUMENT...] -- runs it on the first CPU that it may use

set -u

cpus=$(LC_ALL=C taskset -cp $$) || exit 1
cpus=${cpus##*: } # as 0-3,8
exec taskset -c "${cpus%%[,-]*}" "$@"
