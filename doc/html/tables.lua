-- SPDX-License-Identifier: BSD-3-Clause
--
-- tables.lua -- makes tables that fit their column
--
-- A table is inside a box that scrolls on a narrow screen, by keyboard too.
-- Its columns are as wide as their content, not as the dashes in the source.
-- A column of numbers is aligned on the right, and does not break its lines.
-- A table of many columns has a smaller font. No line ends within "1 x 64 KiB".

local MANY = 6 -- columns

local EMPTY = { [""] = true, never = true, none = true }

-- "16 KiB", "4,194,304", "-1.5 us", "0.9 x", "99 %"
local function is_number(text)
	return text:match("^%-?%d[%d.,]*$") ~= nil or
		text:match("^%-?%d[%d.,]* [%a%%]+$") ~= nil
end

local NO_BREAK = "\u{a0}"
local UNITS = { B = true, KiB = true, MiB = true, GiB = true, ns = true,
	us = true, ms = true, s = true, x = true, ["%"] = true }

local function keep_units(inlines)
	for i = 2, #inlines - 1 do
		local before, after = inlines[i - 1].text, inlines[i + 1].text

		if inlines[i].t == "Space" and before and after and
			((before:match("^[(-]*%d[%d.,]*$") and
			UNITS[after:match("^[%a%%]*")]) or
			(before == "x" and after:match("^%d") and i > 2)) then
			inlines[i] = pandoc.Str(NO_BREAK)
		end
	end
	return inlines
end

local function each_row(tbl, visit)
	for _, body in ipairs(tbl.bodies) do
		for _, row in ipairs(body.body) do
			visit(row.cells or row[2])
		end
	end
end

-- Which columns hold nothing but numbers.
local function find_numbers(tbl)
	local numbers, others = {}, {}

	each_row(tbl, function(cells)
		for i, cell in ipairs(cells) do
			local content = cell.contents or cell[5]
			local text = pandoc.utils.stringify(content)
				:gsub(NO_BREAK, " ")

			if is_number(text) then
				numbers[i] = true
			elseif not EMPTY[text] then
				others[i] = true
			end
		end
	end)
	for i in pairs(others) do
		numbers[i] = nil
	end
	return numbers
end

local function fit(tbl)
	local numbers = find_numbers(tbl)

	for i, spec in ipairs(tbl.colspecs) do
		local align = spec[1]

		if numbers[i] then
			align = "AlignRight"
		end
		tbl.colspecs[i] = { align, nil }
	end

	local class = #tbl.colspecs >= MANY and "table wide-table" or "table"

	return {
		pandoc.RawBlock("html", '<div class="' .. class .. '" ' ..
			'role="region" aria-label="Table" tabindex="0">'),
		tbl,
		pandoc.RawBlock("html", "</div>"),
	}
end

return { { Inlines = keep_units }, { Table = fit } }
