-- SPDX-License-Identifier: BSD-3-Clause
--
-- links.lua -- makes the links of the documents into links of the site
--
-- The site is one flat folder. "**future_poll**(3)" becomes a link to its page
-- if the metadata "pages" (name.section=file, separated by spaces) knows it.
-- Links to documents and examples lead to their pages; others to files of the
-- repository become text. A figure is a link to itself, so that it can be made
-- bigger. Headings go down by one level at a time.

local pages = {}

local function read_pages(meta)
	local list = pandoc.utils.stringify(meta.pages or "")

	for name, file in list:gmatch("(%S+)=(%S+)") do
		pages[name] = file
	end
	meta.pages = nil
	return meta
end

local function link_names(inlines)
	for i = #inlines - 1, 1, -1 do
		local name, rest = inlines[i], inlines[i + 1]

		if name.t == "Strong" and rest.t == "Str" then
			local text = pandoc.utils.stringify(name)
			local section, tail = rest.text:match("^%((%d)%)(.*)$")
			local file = section and pages[text .. "." .. section]

			if file then
				inlines[i] = pandoc.Link(
					text .. "(" .. section .. ")", file)
				inlines[i + 1] = pandoc.Str(tail)
			end
		end
	end
	return inlines
end

local function link_files(link)
	local target, anchor = link.target:match("^([^#]*)(.*)$")

	if target == "" or target:match("^%a+:") or target:match("%.html$") then
		return link
	end

	local file = target:gsub("^.*/", "")

	if target:match("examples/README%.md$") then
		file = "examples.html"
	elseif target:match("README%.md$") then
		file = "index.html"
	elseif target == "LICENSE" then
		file = "license.html"
	elseif target:match("%.md$") then
		file = file:gsub("%.md$", ".html")
	elseif pages[file] then
		file = pages[file]
	else
		return link.content
	end
	link.target = file .. anchor
	return link
end

local function flatten_image(image)
	image.src = image.src:gsub("^.*/", "")
	return pandoc.Link(image, image.src)
end

-- The level on the site of each level in the document that is open.
local shown = { 1 }

local function one_level_down(heading)
	local above = 0

	for level = 1, 6 do
		if level > heading.level then
			shown[level] = nil
		elseif level < heading.level then
			above = shown[level] or above
		end
	end
	shown[heading.level] = shown[heading.level] or above + 1
	heading.level = shown[heading.level]
	return heading
end

local function keep_options(code)
	local html = code.text:gsub("[&<>]",
		{ ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })

	html = (" " .. html):gsub("(%s)(%-[^%s]+)",
		'%1<span class="option">%2</span>')
	if html:find("<span") then
		return pandoc.RawInline("html",
			"<code>" .. html:sub(2) .. "</code>")
	end
end

return {
	{ Meta = read_pages },
	{ Inlines = link_names, Link = link_files },
	{ Image = flatten_image, Header = one_level_down, Code = keep_options },
}
