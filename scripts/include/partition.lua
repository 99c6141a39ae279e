--[[
partition -- the epoch check before, and the journal record after, every transition.

open_partition(meta, epoch, is_new)
                             reads the partition's tail; nil when the caller's epoch is not the
                             partition's: the server lost data, nobody writes until a supervisor
                             has compared it with Postgres. A full server (OOM) refuses the script
                             if `is_new`, before anything has changed, and else does not: what is
                             under way gives memory back only by going on to its end.
journal(text)                adds one transition; filled before the writes it tells of.
close_partition(ev, meta)    appends everything as ONE chained record; reached on every path. A line
                             break stands between two transitions and nowhere else: payloads are
                             JSON as JSON.stringify writes it, so the archiver may cut there.
told_runs(from)              the runs that were told of since there were `from` transitions.
suspect(runs, reason)        freezes runs in which something failed between two writes.

The script that includes this is a function by the time it runs, and guard.lua calls it: nothing that
fails half-way is left as it is.
]]
local tail_seq, tail_nonce, now_ms
-- How often a consumer has taken another one's entry over: unchanged, nobody lost one.
local takeovers
local records, record_count = {}, 0
-- A run that is written without anything being told: if that fails, it is frozen like those told of.
local untold
-- The key of `meta`; nil as long as nothing may have been written.
local opened

local function open_partition(meta, epoch, is_new)
  local tail = redis.call("HMGET", meta, "epoch", "seq", "nonce", "clock", "taken")
  if not tail[1] or tail[1] ~= epoch then
    return false
  end
  local time = redis.call("TIME")
  now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  if tail[4] then -- only ever set by tests: how far the clock is ahead, or, after "=", where it stands
    now_ms = tonumber(tail[4]) and now_ms + tail[4] or tonumber(string.sub(tail[4], 2))
  end
  tail_seq, tail_nonce, takeovers = tonumber(tail[2]), tail[3], tonumber(tail[5] or 0)
  if not is_new then
    -- Redis looks at its memory at a script's first write only, and lets what removes something pass.
    redis.call("HDEL", meta, "-")
  end
  redis.call("HSET", meta, "at_ms", now_ms)
  opened = meta
  return true
end

local function journal(text)
  record_count = record_count + 1
  records[record_count] = text
end

local function told_runs(from)
  local runs = {}
  for i = from + 1, record_count do
    for line in string.gmatch(records[i] or "", "[^\n]+") do
      local run_id = string.match(line, '^{"r":"([^"]*)"')
      if run_id then
        runs[run_id] = true
      end
    end
  end
  return runs
end

-- Redis does not roll back: nothing is accepted for them until a supervisor has rebuilt them from the
-- journal, which has all that was to happen (21 A4).
local function suspect(runs, reason)
  for run_id in pairs(runs) do
    journal('{"r":"' .. run_id .. '","e":"run.suspect"}')
    pcall(redis.call, "HSET", string.sub(opened, 1, -5) .. "run:" .. run_id, "s", "suspect")
    redis.log(redis.LOG_WARNING, "gavotte: run " .. run_id .. " is suspect: " .. tostring(reason))
  end
end

local function separator(i)
  return i <= record_count and ",\n" or ""
end

-- The record's text. Redis' Lua hashes every string that it makes to its last byte; table.concat makes
-- several of these on the way to a long one, `..` of many just the one.
local function record_text()
  local r = records
  if record_count <= 8 then
    return "[" .. r[1] .. separator(2) .. (r[2] or "") .. separator(3) .. (r[3] or "") .. separator(4)
      .. (r[4] or "") .. separator(5) .. (r[5] or "") .. separator(6) .. (r[6] or "")
      .. separator(7) .. (r[7] or "") .. separator(8) .. (r[8] or "") .. "]"
  end
  local first, last = r[1], r[record_count]
  r[1], r[record_count] = "[" .. first, last .. "]"
  local text = table.concat(r, ",\n", 1, record_count)
  r[1], r[record_count] = first, last -- they may have to be read yet (told_runs)
  return text
end

-- `body`: the record's text where it is there already.
local function close_partition(ev, meta, nonce, body)
  if record_count == 0 then
    return
  end
  local seq = string.format("%.0f", tail_seq + 1)
  redis.call("XADD", ev, "*", "v", "1", "seq", seq, "nonce", nonce, "prev", tail_nonce,
    "t", string.format("%.0f", now_ms), "b", body or record_text())
  redis.call("HSET", meta, "seq", seq, "nonce", nonce)
end
