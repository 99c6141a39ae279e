--[[
waiters -- who waits for which signal, the oldest first: lines in a run's signals hash.

Each who waits has a number in the line of its name, and leaves a gap there. So coming and leaving are
O(1) however many wait; whoever looks for the oldest passes each gap once.

w:<name>          <first>|<next>|<count>: nobody stands below `first`, the number of who comes next,
                  how many wait; absent: nobody
v<number>:<name>  a waiter: <node>|<home>|<scope>|<attempt>|<queue key>; home "" is the run itself, else
                  the map element that the token lives in
u<node>|<home>    where that one stands: <number>:<name>. A node of a home waits in one place
]]

local function line_of(signals, name)
  local line = redis.call("HGET", signals, "w:" .. name) or "0|0|0"
  local first, following, count = string.match(line, "^(%d+)|(%d+)|(%d+)$")
  return tonumber(first), tonumber(following), tonumber(count)
end

local function write_line(signals, name, first, following, count)
  if count > 0 and first < following then
    redis.call("HSET", signals, "w:" .. name, first .. "|" .. following .. "|" .. count)
  else
    redis.call("HDEL", signals, "w:" .. name)
  end
end

-- Whoever waits under this node and home waits no more.
local function leave_line(signals, node, home)
  local own = "u" .. node .. "|" .. home
  local place = redis.call("HGET", signals, own)
  if place and redis.call("HDEL", signals, "v" .. place, own) == 2 then
    local name = string.match(place, ":(.*)$")
    local first, following, count = line_of(signals, name)
    write_line(signals, name, first, following, count - 1)
  end
end

-- A void round's place is given up for the new one.
local function enter_line(signals, name, node, home, waiter)
  leave_line(signals, node, home)
  local first, following, count = line_of(signals, name)
  local place = following .. ":" .. name
  redis.call("HSET", signals, "v" .. place, node .. "|" .. home .. "|" .. waiter,
    "u" .. node .. "|" .. home, place, "w:" .. name, first .. "|" .. following + 1 .. "|" .. count + 1)
end

-- Offers the signal to one after the other, the oldest first, until take(node, home, scope, attempt,
-- queue) says that one has taken it; those that do not wait any more leave. Looks at `most` places.
-- Returns whether one has taken it, and whether some were not looked at.
local function offer(signals, name, most, take)
  local first, following = line_of(signals, name)
  local stop, at, is_taken = math.min(following, first + most), first, false
  while at < stop and not is_taken do
    local waiter = redis.call("HGET", signals, "v" .. at .. ":" .. name)
    if waiter then
      local node, home, scope, attempt, queue =
        string.match(waiter, "^(%d+)|([^|]*)|([^|]*)|(%d+)|(.*)$")
      is_taken = take(node, home, scope, attempt, queue)
      leave_line(signals, node, home)
    end
    at = at + 1
  end
  if at > first then
    local _, _, count = line_of(signals, name)
    write_line(signals, name, at, following, count)
  end
  return is_taken, at < following
end

-- The map element that a unit id `<run>` or `<run>!<home>` names, "" for the run itself.
local function home_of(unit)
  return string.match(unit, "!(.*)$") or ""
end

-- The signals hash of a unit's run, by the key of either.
local function signals_of(run)
  return string.match(run, "^[^!]*") .. ":signals"
end
