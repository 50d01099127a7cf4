/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * search.js -- types words into the search box, and writes down the results
 *
 * site.sh adds this to a page. It uses keys as a reader does. Each line that it
 * puts into the body is: the words, "->", and the first result or the message.
 */

"use strict";

const WORDS = [
	"runtime_wait", "runtime_wait(3)", "vdm_memmove",
	"runtime_wait_multiple", "coverage gcovr", "copy_many", "xyzzy",
];

function press(key) {
	document.activeElement.dispatchEvent(
		new KeyboardEvent("keydown", { key, bubbles: true }));
}

function type(words) {
	const box = document.activeElement;

	box.value = words;
	box.dispatchEvent(new Event("input", { bubbles: true }));
}

async function has_index() {
	for (let i = 0; i < 100 && !window.search_index; i++)
		await new Promise(resolve => setTimeout(resolve, 50));
}

async function search() {
	const report = document.createElement("pre");

	press("/");
	await has_index();
	for (const words of WORDS) {
		type(words);
		press("ArrowDown");
		report.append(`${words} -> ` +
			(document.activeElement.getAttribute("href") ??
			document.querySelector("form output").textContent) +
			"\n");
		press("Escape");
		press("/");
	}
	report.id = "report";
	document.body.replaceChildren(report);
}

window.addEventListener("load", search);
