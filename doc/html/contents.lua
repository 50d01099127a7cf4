-- SPDX-License-Identifier: BSD-3-Clause
--
-- contents.lua -- makes the contents of a long page, and its part of the index
--
-- Contents are the headings of levels 2 and 3, or the functions of an example.
-- The index is what search.js searches: a line for each section, with the page,
-- its title, the heading, its anchor, and the text. Of an example it is the
-- first comment, and every name once. The NAME of a man page counts as the text
-- above its first heading. The metadata "file" is the name of the
-- page, and "index" the file to which the lines are appended.

local LONG = 3000 -- characters: more than two screens

local file, title, index
local sections = {}

local function read_metadata(meta)
	file = pandoc.utils.stringify(meta.file)
	index = pandoc.utils.stringify(meta.index)
	title = pandoc.utils.stringify(meta.pagetitle):gsub(" %- .*", "")
end

local function text_of(block)
	local parts = {}

	local function add(leaf)
		table.insert(parts, leaf.text or
			pandoc.utils.stringify(leaf.content))
	end
	pandoc.walk_block(pandoc.Div({ block }),
		{ Para = add, Plain = add, CodeBlock = add })
	return table.concat(parts, " ")
end

local function add_section(heading, anchor, level)
	table.insert(sections, {
		heading = heading, anchor = anchor, level = level, parts = {},
	})
end

local function add_text(text)
	table.insert(sections[#sections].parts, text)
end

-- A function begins its line: its name, and its parameters behind that.
local function read_example(code)
	local names, seen, number = {}, {}, 0

	add_text(code:match("\n/%*\n(.-)%*/") or "")
	for name in code:gmatch("[%a_][%w_]+") do
		if not seen[name] then
			seen[name] = true
			table.insert(names, name)
		end
	end
	add_text(table.concat(names, " "))
	for line in code:gmatch("([^\n]*)\n") do
		local name = line:match("^([%a_][%w_]*)%(.*[^;]$")

		number = number + 1
		if name then
			add_section(name .. "()", "cb1-" .. number, 2)
		end
	end
end

local function json(text)
	text = text:gsub("%s+", " "):gsub('[\\"]', "\\%0")
	return '"' .. text:gsub("<", "\\u003c") .. '"'
end

local function write_index()
	local out = assert(io.open(index, "a"))

	for _, section in ipairs(sections) do
		out:write("[", json(file), ",", json(title), ",",
			json(section.heading), ",", json(section.anchor), ",",
			json(table.concat(section.parts, " ")), "],\n")
	end
	out:close()
end

local function contents(length)
	local list, n = {}, 0

	for _, section in ipairs(sections) do
		local link = pandoc.Plain({ pandoc.Link(section.heading,
			"#" .. section.anchor) })

		if section.level == 2 then
			table.insert(list, { link })
			n = n + 1
		elseif section.level == 3 and #list > 0 then
			local item = list[#list]

			item[2] = item[2] or pandoc.BulletList({})
			table.insert(item[2].content, { link })
			n = n + 1
		end
	end
	if n >= 2 and length > LONG then
		return pandoc.MetaBlocks({ pandoc.BulletList(list) })
	end
end

local function read(doc)
	local length = 0

	read_metadata(doc.meta)
	add_section("", "", 1)
	for _, block in ipairs(doc.blocks) do
		if block.t == "Header" then
			local heading = pandoc.utils.stringify(block)

			if block.level > 1 and heading ~= "NAME" then
				add_section(heading, block.identifier,
					block.level)
			end
		elseif block.t == "CodeBlock" and #doc.blocks == 1 then
			length = #block.text
			read_example(block.text .. "\n")
		else
			local text = text_of(block)

			length = length + #text
			add_text(text)
		end
	end
	write_index()
	doc.meta.contents = contents(length)
	doc.meta.file, doc.meta.index = nil, nil
	return doc
end

return { { Pandoc = read } }
