#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# site.sh SOURCE -- tests the site in a browser: headless Chromium
#
# On every page: links and anchors lead somewhere, nothing is wider than the
# screen at 390, 768 and 1280 px, every table fits its column at 1280 px, numbers
# are on the right, and the search box, the contents, and the links of man pages
# are there. Text has contrast in the light and in the dark. The search, from
# file:// as a reader has it, finds what it should.

set -u

. "${0%/*}/checks.sh"
cd "$1" || exit 1
scripts=$PWD/tests/scripts/site

chromium=$(command -v chromium || command -v chromium-browser ||
	command -v google-chrome) || {
	echo "site.sh: skipped: chromium is missing (Debian package chromium)"
	exit 77
}
command -v pandoc >/dev/null ||
	{ echo "site.sh: skipped: pandoc is missing (Debian package pandoc)"; exit 77; }

# show PAGE [OPTION...]: what the page says in its element "report"
show() {
	page=$1
	shift
	timeout 120 "$chromium" --headless --no-sandbox --disable-gpu \
		--disable-dev-shm-usage --hide-scrollbars \
		--user-data-dir="$work/profile" --no-first-run \
		--virtual-time-budget=300000 "$@" \
		--dump-dom "file://$work/html/$page" 2>"$work/errors" |
		awk '/<pre id="report">/ { sub(/.*<pre id="report">/, ""); on = 1 }
			/<\/pre>/ { on = 0 }
			on'
}

cmake -DSOURCE="$PWD" -DOUTPUT="$work/html" -DPANDOC=pandoc -DVERSION=0 \
	-P doc/html.cmake >"$work/log" 2>&1 ||
	{ cat "$work/log"; echo "site.sh: doc/html.cmake makes no site"; exit 1; }

# It may be there, but not run: in a container without what it needs.
printf '<pre id="report">it runs\n</pre>\n' >"$work/html/it_runs.html"
[ "$(show it_runs.html)" = "it runs" ] || {
	echo "site.sh: skipped: chromium cannot run here: $(cat "$work/errors")"
	exit 77
}
rm "$work/html/it_runs.html"

# All pages, in frames: that needs files that may look into each other.
files=$(cd "$work/html" && ls | sed 's/.*/"&",/')
{
	echo '<!DOCTYPE html><meta charset="utf-8"><pre id="report">'
	echo '</pre><script>const files = ['"$files"'];</script><script>'
	cat "$scripts/pages.js"
	echo '</script>'
} >"$work/check_pages.html"
mv "$work/check_pages.html" "$work/html"
pages=$(ls "$work"/html/*.html | grep -vc check_pages)
show check_pages.html --allow-file-access-from-files |
	grep -v '^$' >"$work/report"
grep -qx "$pages pages seen" "$work/report" ||
	wrong "not all $pages pages were loaded: $(tail -n 3 "$work/errors")"
grep -v ' pages seen$' "$work/report" >"$work/log" &&
	wrong "pages: $(cat "$work/log")"

# The contrast of a page of each kind: 1 is light, 0 is dark.
for scheme in 1 0; do
	show 'check_pages.html?colours' --allow-file-access-from-files \
		--blink-settings=preferredColorScheme=$scheme |
		grep -v '^$' >"$work/report"
	[ "$(cat "$work/report")" = "4 pages seen" ] ||
		wrong "colours, scheme $scheme: $(cat "$work/report")"
done

# The search, on an ordinary page.
{
	cat "$work/html/future_poll.3.html"
	echo '<script>'
	cat "$scripts/search.js"
	echo '</script>'
} >"$work/html/check_search.html"
show check_search.html | sed 's/&gt;/>/g' >"$work/report"
while read -r line; do
	grep -qx -e "$line" "$work/report" ||
		wrong "search: expected: $line; actual: $(grep \
			"^${line%% ->*} ->" "$work/report")"
done <<END
runtime_wait -> runtime_wait.3.html
runtime_wait(3) -> runtime_wait.3.html
runtime_wait_multiple -> runtime_wait.3.html
vdm_memmove -> vdm_memmove.3.html
coverage gcovr -> testing.html#coverage
copy_many -> basic.c.html#cb1-[0-9]*
xyzzy -> Nothing found
END

echo "site.sh: $pages pages, $failed wrong"
[ $failed -eq 0 ]
