--[[
complete -- the least that a batch of finished tokens costs: no features, no failure handling.

Atomic because the floor must pay for what the engine's step must pay for.

KEYS
  1  ev     stream  the journal; appends one record
  2  queue  stream  ready tokens; appends, acknowledges
  3+ runs   hash    one per distinct run; reads and writes
ARGV
  1  items  number of items; each is run (index into KEYS), id, node, entry, output, successors;
            and per successor: node, need (arrivals until it starts)
RETURNS integer: runs that ended
REPEAT    an item whose record is not active is refused and acknowledged
COST      O(successors)
]]
local ev, queue = KEYS[1], KEYS[2]
local at, ended, entries, records = 2, 0, {}, {}
for _ = 1, tonumber(ARGV[1]) do
  local run, id, node, output = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2], ARGV[at + 4]
  local successors = tonumber(ARGV[at + 5])
  entries[#entries + 1] = ARGV[at + 3]
  at = at + 6
  local have = redis.call("HMGET", run, "s", "e", "c", "n" .. node)
  if have[1] == "running" and have[2] == "1" and string.sub(have[4] or "", 1, 1) == "a" then
    local counter, starts = tonumber(have[3]) + successors - 1, {}
    local fields = { "n" .. node, "c1||" .. output }
    for i = at, at + successors * 2 - 2, 2 do
      local successor, need, fires = ARGV[i], tonumber(ARGV[i + 1]), true
      if need > 1 then
        local arrived = tonumber(redis.call("HGET", run, "j" .. successor) or "0") + 1
        fields[#fields + 1], fields[#fields + 2] = "j" .. successor, arrived
        fires = arrived == need
        counter = fires and counter - (need - 1) or counter
      end
      if fires then
        fields[#fields + 1], fields[#fields + 2] = "n" .. successor, "a1||"
        starts[#starts + 1] = successor
      end
    end
    records[#records + 1] = '{"r":"' .. id .. '","e":"node.completed","n":' .. node .. ',"o":' .. output .. "}"
    fields[#fields + 1], fields[#fields + 2] = "c", counter
    if counter == 0 then
      fields[#fields + 1], fields[#fields + 2] = "s", "completed"
      records[#records + 1] = '{"r":"' .. id .. '","e":"run.completed"}'
      ended = ended + 1
    end
    redis.call("HSET", run, unpack(fields))
    for i = 1, #starts do
      redis.call("XADD", queue, "*", "t", id .. "\31" .. starts[i] .. "\31" .. output)
    end
  end
  at = at + successors * 2
end
redis.call("XADD", ev, "*", "b", "[" .. table.concat(records, ",") .. "]")
redis.call("XACK", queue, "workers", unpack(entries))
redis.call("XDEL", queue, unpack(entries))
return ended
