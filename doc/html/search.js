/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * search.js -- the search box, and the contents beside a wide page
 *
 * The index is search_index.js, made with the site. It is a script and not
 * data, because a page from file:// may load scripts only. It is loaded when
 * the box gets the focus first. A section is found if each word is in it or in
 * the title of its page. Keys: "/" goes to the box, Enter to the first result,
 * the arrows through the results, Escape back to the page.
 */

"use strict";

const SHOWN = 12;
const BEFORE = 50; /* characters of text before the first word, and after it */
const AFTER = 110;

const form = document.querySelector("form.search");
const box = form.querySelector("input");
const count = form.querySelector("output");
const list = form.querySelector("ol");

function load_index() {
	if (window.search_index || document.getElementById("index"))
		return;
	const script = document.createElement("script");

	script.id = "index";
	script.src = "search_index.js";
	script.onload = show;
	document.head.append(script);
}

/* A man page describes several names: the first words of its text. */
function names_of([file, title, heading, , text]) {
	if (heading === "" && /\.\d\.html$/.test(file))
		return text.toLowerCase().split(" - ")[0].split(", ");
	return [title.toLowerCase()];
}

/* The best first: a name or title, a heading, the text. 0: not found. */
function score(words, section) {
	const [file, title, heading, , text] = section;
	const names = names_of(section);
	const is_example = /\.(c|cpp|h)\.html$/.test(file);
	let sum = heading === "" ? 1 : 0;

	for (const word of words) {
		if (names.includes(word))
			sum += 100;
		else if (title.toLowerCase().includes(word))
			sum += 10;
		else if (heading.toLowerCase().includes(word))
			sum += 5;
		else if (text.toLowerCase().includes(word))
			sum += is_example ? 1 : 2;
		else
			return 0;
	}
	return sum;
}

/* The best section of each page. */
function find(words) {
	const best = new Map();

	for (const section of window.search_index) {
		const sum = score(words, section);

		if (sum > (best.get(section[0])?.sum ?? 0))
			best.set(section[0], { sum, section });
	}
	return [...best.values()].sort((a, b) => b.sum - a.sum);
}

/* The text around a word, without halves of words. */
function excerpt(text, word) {
	const at = Math.max(0, text.toLowerCase().indexOf(word));
	const begin = at < BEFORE ? 0 : text.indexOf(" ", at - BEFORE) + 1;
	const end = at + AFTER < text.length ?
		text.lastIndexOf(" ", at + AFTER) : text.length;

	return (begin > 0 ? "… " : "") + text.slice(begin, end) +
		(end < text.length ? " …" : "");
}

function result({ section: [file, title, heading, anchor, text] }, word) {
	const item = document.createElement("li");
	const link = document.createElement("a");
	const part = document.createElement("small");

	link.href = anchor ? `${file}#${anchor}` : file;
	link.textContent = heading ? `${title}: ${heading}` : title;
	part.textContent = excerpt(text, word);
	item.append(link, part);
	return item;
}

function show() {
	const words = box.value.toLowerCase().replace(/\(\d?\)?/g, "")
		.split(/\s+/).filter(Boolean);

	list.replaceChildren();
	count.textContent = "";
	if (words.length === 0 || !window.search_index)
		return;
	const found = find(words);

	count.textContent = found.length === 0 ? "Nothing found" :
		found.length === 1 ? "1 page" : `${found.length} pages`;
	if (found.length > SHOWN)
		count.textContent += `, the first ${SHOWN} are shown`;
	list.append(...found.slice(0, SHOWN).map(f => result(f, words[0])));
}

function leave() {
	box.value = "";
	show();
	box.blur();
}

function move(event, step) {
	const stops = [box, ...list.querySelectorAll("a")];
	const next = stops[stops.indexOf(document.activeElement) + step];

	event.preventDefault();
	next?.focus();
}

form.hidden = false;
box.addEventListener("focus", load_index);
box.addEventListener("input", show);
form.addEventListener("submit", event => {
	event.preventDefault();
	list.querySelector("a")?.click();
});
form.addEventListener("keydown", event => {
	if (event.key === "Escape")
		leave();
	else if (event.key === "ArrowDown")
		move(event, 1);
	else if (event.key === "ArrowUp")
		move(event, -1);
});
document.addEventListener("click", event => {
	if (!form.contains(event.target) && box.value !== "")
		leave();
});
document.addEventListener("keydown", event => {
	if (event.key === "/" && document.activeElement !== box) {
		event.preventDefault();
		box.focus();
	}
});

/* Beside the page there is room for the contents; above it they are closed. */
const contents = document.querySelector("details.contents");

if (contents && window.matchMedia("(min-width: 75rem)").matches)
	contents.open = true;
