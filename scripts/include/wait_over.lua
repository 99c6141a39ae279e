--[[
wait_over -- what field w<node> says when a wait is over: "=<attempt>|<scope>" keeps a worker that comes
late from parking the same attempt again; "|<child>" behind it names the run that was waited for last,
which the next attempt ends before it starts its own. Its id does not follow from the token: a run that
was rebuilt or woken since names its children after another epoch. sdk/waits.ts is the same.
]]

-- The run that a token of this scope waits for by its field w<node>, or waited for last, or has
-- started without waiting; nil if there is none.
local function child_of(waits, scope)
  local child = string.match(waits, '"kind":"child","run":"([^"]*)"')
  if child then
    return child
  end
  local place, last = string.match(waits, "^=%d+|([^|]*)|(.+)$")
  return place == scope and last or nil
end

local function wait_over(waits, attempt, scope)
  local child = child_of(waits or "", scope)
  return "=" .. attempt .. "|" .. scope .. (child and "|" .. child or "")
end
