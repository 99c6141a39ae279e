--[[
complete_last -- the short form of a token that leads nowhere: the run ends with it, unless others of its
tokens are still on their way. Part of complete_simple.

The text has the token's transition and then the run's end, which is left out where it does not end.
]]

-- last: form, key, epoch, bytes of its transition, bytes of the run's end, 1 if the run has a timeout,
-- field, record, entry_stream, entry_id. `extras`: of a wide one, up to `stop`.
local function settle_last(at, stop, extras)
  local run, epoch, bytes, field = KEYS[ARGV[at + 1]], ARGV[at + 2], ARGV[at + 3], ARGV[at + 6]
  local with_end = bytes + 2 + ARGV[at + 4] -- a separator stands between the two
  local from = next_text(with_end)
  local have = redis.call("HMGET", run, "s", "e", field, "c", "nf", "up")
  local left = (tonumber(have[4]) or 0) - 1
  local is_usual = is_fresh(have[3]) and have[1] == "running" and have[2] == epoch
    and not bounced[run] and left >= 0 and not have[5]
  if not is_usual then
    bounced[run] = true
    tell(NOT_SIMPLE, "", "", false)
    return
  end
  it.run = run
  writing_from = record_count
  journal_text(from, left > 0 and bytes or with_end)
  if extras then
    redis.call("HSET", run, unpack(ARGV, extras, stop - 1))
  end
  if left > 0 then
    redis.call("HSET", run, field, ARGV[at + 7], "c", digits(left))
  else
    redis.call("HSET", run, field, ARGV[at + 7], "c", "0", "s", "completed")
    leave_run(k, run, string.sub(run, #k.ev + 3), epoch, "completed", ARGV[at + 5] == 1, nil, have[6])
  end
  tell(0, KEYS[ARGV[at + 8]], ARGV[at + 9], true)
  writing_from = nil
end
