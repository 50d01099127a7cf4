-- SPDX-License-Identifier: BSD-3-Clause
--
-- links.lua -- makes the links of the documents into links of the site
--
-- The site is one flat folder. "**future_poll**(3)" becomes a link to its page
-- if the metadata "pages" (name.section=file, separated by spaces) knows it.
-- Links to documents and examples lead to their pages; others to files of the
-- repository become text.

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
	return image
end

return {
	{ Meta = read_pages },
	{ Inlines = link_names, Link = link_files, Image = flatten_image },
}
