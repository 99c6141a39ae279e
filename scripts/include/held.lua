--[[
held -- where the entries of a paused run wait: its list `held`, in order, until it is resumed.

The list's key is the run's own with a suffix, so it lies in the same slot. It is not among KEYS:
that would add a key per run to every call of the hot path for a list that hardly ever exists.
An element of a map (`<run>!<home>`) is paused with its run.
]]
local function held_key(run)
  return (string.match(run, "^([^!]*)!") or run) .. ":held"
end

local function hold(run, queue, packed)
  redis.call("RPUSH", held_key(run), queue .. "\30" .. packed)
end

-- An entry goes to its queue, or waits with its paused run.
local function dispatch(is_paused, run, queue, packed)
  if is_paused then
    hold(run, queue, packed)
  else
    redis.call("XADD", queue, "*", "t", packed)
  end
end
