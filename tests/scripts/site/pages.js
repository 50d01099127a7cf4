/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * pages.js -- looks at every page of the site in a frame, as a browser shows it
 *
 * Each page is loaded once, and shown at three widths. What is wrong becomes a
 * line in the body; the last line is "N pages seen". site.sh puts the names of
 * all files into "files". With "?colours" only the contrast of text is checked,
 * on a page of each kind.
 */

"use strict";

const WIDTHS = [390, 768, 1280];
const FITS = 1280; /* the width at which every table fits its column */
const CONTRAST = 4.5; /* at least, of small text: WCAG 2, level AA */
const OF_EACH_KIND = [
	"index.html", "performance.html", "runtime_wait.3.html", "vdmcp.c.html",
];

const here = new URL(".", location.href).href;
const frame = document.createElement("iframe");
const anchors = new Map(); /* page -> its ids */
const links = []; /* to anchors: [page, file, id] */

function say(text) {
	document.getElementById("report").append(text + "\n");
}

function load(page) {
	return new Promise(resolve => {
		frame.onload = () => resolve(frame.contentDocument);
		frame.src = page;
	});
}

function name_of(element) {
	return `${element.localName}.${element.className} ` +
		element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
}

function check_links(page, body) {
	for (const element of body.querySelectorAll("[href], [src]")) {
		const target = element.getAttribute("href") ??
			element.getAttribute("src");
		const url = new URL(target, here);
		const id = decodeURIComponent(url.hash.slice(1));

		url.hash = "";
		if (url.protocol === "https:" && element.localName === "a")
			continue;
		const file = target.startsWith("#") ? page :
			url.href.replace(here, "");
		if (!files.includes(file))
			say(`${page}: there is no ${target}`);
		else if (id !== "")
			links.push([page, file, id]);
	}
}

/* What is in a box that scrolls, or is not shown, may be wider. */
function may_be_wide(element) {
	for (let e = element; e !== null; e = e.parentElement) {
		const style = getComputedStyle(e);

		if (style.overflowX === "auto" || style.display === "none" ||
			e.className === "skip")
			return true;
	}
	return false;
}

function check_width(page, body, width) {
	frame.style.width = `${width}px`;
	if (body.documentElement.scrollWidth > width)
		say(`${page}: scrolls sideways at ${width} px`);
	for (const element of body.body.querySelectorAll("*")) {
		if (element.getBoundingClientRect().right > width + 0.5 &&
			!may_be_wide(element.parentElement))
			say(`${page}: at ${width} px too wide: ` +
				name_of(element));
	}
	for (const box of body.querySelectorAll(".table")) {
		if (width >= FITS && box.scrollWidth > box.clientWidth)
			say(`${page}: at ${width} px a table scrolls: ` +
				`${box.scrollWidth} of ${box.clientWidth} px ` +
				name_of(box));
	}
}

/* Those that the reader needs on each page of some kind. */
function check_parts(page, body) {
	const text = body.querySelector("main")?.textContent ?? "";
	const headings = body.querySelectorAll("main h2, main h3").length;
	const wants = (selector, what) => {
		if (body.querySelector(selector) === null)
			say(`${page}: no ${what}`);
	};

	wants("form.search:not([hidden]) label[for=search]", "search box");
	if (files_in_bar.some(f => f === page) || /\.\w+\.html$/.test(page))
		wants("header a[aria-current]", "current page marked");
	if (headings >= 3 && text.length > 6000)
		wants("details.contents a", "contents");
	if (/\.\d\.html$/.test(page))
		wants(".neighbours a[rel=next], .neighbours a[rel=prev]",
			"page before or after");
}

/* Numbers that stand below each other end below each other. */
function check_numbers(page, body) {
	for (const table of body.querySelectorAll("table")) {
		const rows = [...table.tBodies[0].rows];

		for (let i = 1; i < rows[0].cells.length; i++) {
			const cells = rows.map(row => row.cells[i]);

			if (cells.every(c => /^-?[\d.,]+(\s\w+)?$/.test(
				c.textContent)) &&
				getComputedStyle(cells[0]).textAlign !== "right")
				say(`${page}: numbers not on the right: ` +
					name_of(table));
		}
	}
}

function parts_of(colour) {
	return colour.match(/[\d.]+/g).map(Number);
}

/* Relative luminance, as WCAG 2 defines it. */
function luminance(colour) {
	const [r, g, b] = parts_of(colour).map(part => part / 255).map(part =>
		part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);

	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function background(element) {
	for (let e = element; e !== null; e = e.parentElement) {
		const colour = getComputedStyle(e).backgroundColor;

		if ((parts_of(colour)[3] ?? 1) > 0)
			return colour;
	}
	return "rgb(255, 255, 255)";
}

function check_colours(page, body) {
	const seen = new Set();

	for (const element of body.body.querySelectorAll("*")) {
		if (![...element.childNodes].some(n => n.nodeType === 3 &&
			n.data.trim() !== ""))
			continue;
		const colours = [getComputedStyle(element).color,
			background(element)];
		const [dark, light] = colours.map(luminance)
			.sort((a, b) => a - b);

		if (seen.has(String(colours)))
			continue;
		seen.add(String(colours));
		if ((light + 0.05) / (dark + 0.05) < CONTRAST)
			say(`${page}: ${colours.join(" on ")}: ` +
				name_of(element));
	}
}

let files_in_bar = [];

async function check_all() {
	const colours = location.search === "?colours";
	const pages = colours ? OF_EACH_KIND :
		files.filter(f => f.endsWith(".html"));

	frame.style.height = "800px";
	document.body.append(frame);
	for (const page of pages) {
		const body = await load(page);

		if (colours) {
			check_colours(page, body);
			continue;
		}
		files_in_bar = [...body.querySelectorAll("header nav a")]
			.map(a => a.getAttribute("href"));
		anchors.set(page, new Set([...body.querySelectorAll("[id]")]
			.map(e => e.id)));
		check_links(page, body);
		check_parts(page, body);
		check_numbers(page, body);
		for (const width of WIDTHS)
			check_width(page, body, width);
	}
	for (const [page, file, id] of links)
		if (!anchors.get(file)?.has(id))
			say(`${page}: nothing at ${file}#${id}`);
	frame.remove();
	say(`${pages.length} pages seen`);
}

check_all().catch(error => say(`failed: ${error}`));
