// The Lua behind RedisTokenLog: each script is atomic and touches the keys of one generation (one hash tag). Strings here, as tsc copies no .lua files.
//
//   meta   hash    top state attempt writer worker variant cancel owner nodes created · outlives the others by 10 × GENERATION_TTL, so "expired" is not "gone"
//   record string  JSON; whether it is there decides whether the generation is: expires GENERATION_TTL after the end
//   log    stream  entry 0-<seq>, one field e with the event's JSON; expires a second after the record, so that whoever sees the record sees all entries
import { script } from "./redis-script.js";

// Every script begins with it. Redis freezes its clock while a script runs: keys don't expire halfway.
const preamble = `
local meta, record, log = KEYS[1], KEYS[2], KEYS[3]
local function keep(ms, traceMs)
  redis.call('PEXPIRE', record, ms)
  redis.call('PEXPIRE', log, ms + 1000)
  redis.call('PEXPIRE', meta, ms + traceMs)
end
local function absence()
  if redis.call('EXISTS', meta) == 0 then return 'gone' end
  if redis.call('EXISTS', record) == 0 then return 'expired' end
  return nil
end
`;

/** record, owner, created, openMs, traceMs, node (or "") → 1, or 0 when it was there already. */
export const createScript = script(`${preamble}
if redis.call('EXISTS', meta) == 1 then return 0 end
redis.call('HSET', meta, 'top', 0, 'state', 'queued', 'attempt', 0, 'writer', '', 'worker', '', 'cancel', 0, 'nodes', ARGV[6],
  'owner', ARGV[2], 'created', ARGV[3])
redis.call('SET', record, ARGV[1])
keep(tonumber(ARGV[4]), tonumber(ARGV[5]))
return 1
`);

/** → [absence] or [state, record, top, cancel, last entry's event or ""]. */
export const findScript = script(`${preamble}
local absent = absence()
if absent then return {absent} end
local top, state, cancel = unpack(redis.call('HMGET', meta, 'top', 'state', 'cancel'))
local last = ''
if state == 'ended' then
  local entry = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  -- Only an eviction takes the log before the record.
  if not entry then return {'expired'} end
  last = entry[2][2]
end
return {state, redis.call('GET', record), tonumber(top), tonumber(cancel), last}
`);

/** attempt, writer, worker, openMs, traceMs, variant → [refusal] or ["ok", record, cancel, entries, variant]. */
export const claimScript = script(`${preamble}
if absence() then return {'gone'} end
local state, attempt, cancel, top = unpack(redis.call('HMGET', meta, 'state', 'attempt', 'cancel', 'top'))
if state == 'ended' then return {'ended'} end
if tonumber(ARGV[1]) < tonumber(attempt) then return {'fenced'} end
redis.call('HSET', meta, 'state', 'running', 'attempt', ARGV[1], 'writer', ARGV[2], 'worker', ARGV[3])
if top == '0' then redis.call('HSET', meta, 'variant', ARGV[6]) end
keep(tonumber(ARGV[4]), tonumber(ARGV[5]))
local variant = redis.call('HGET', meta, 'variant')
return {'ok', redis.call('GET', record), tonumber(cancel), redis.call('XRANGE', log, '-', '+'), variant}
`);

/** writer, openMs, endedMs, traceMs, first seq (0: no events), 1 if the last event is terminal, events… → [result, top, cancel, nodes]. */
export const appendScript = script(`${preamble}
local left = redis.call('PTTL', record)
local top, state, writer, cancel, nodes = unpack(redis.call('HMGET', meta, 'top', 'state', 'writer', 'cancel', 'nodes'))
if left == -2 or not top then return {'gone', 0, 0, ''} end
top = tonumber(top)
local function reply(result) return {result, top, tonumber(cancel), nodes} end
local openMs, endedMs, traceMs, first = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local last = first + #ARGV - 7
if writer ~= ARGV[1] or writer == '' then return reply('fenced') end
if first > 0 and last <= top then return reply('ok') end
if state == 'ended' then return reply('ended') end
if first > top + 1 then return reply('gap') end
local isNew = top == 0
for seq = top + 1, last do redis.call('XADD', log, '0-' .. seq, 'e', ARGV[7 + seq - first]) end
if last > top then
  top = last
  redis.call('HSET', meta, 'top', top)
end
if ARGV[6] == '1' then
  redis.call('HSET', meta, 'state', 'ended')
  keep(endedMs, traceMs)
elseif isNew or left < openMs - 5000 then
  keep(openMs, traceMs)
end
return reply('ok')
`);

/** first seq → [absence] or [state, top, entries]. */
export const readScript = script(`${preamble}
local absent = absence()
if absent then return {absent} end
local state, top = unpack(redis.call('HMGET', meta, 'state', 'top'))
return {state, tonumber(top), redis.call('XRANGE', log, '0-' .. ARGV[1], '+')}
`);

/** failure event, endedMs, traceMs → [result, worker, top, nodes]. */
export const cancelScript = script(`${preamble}
if absence() then return {'gone', '', 0, ''} end
local top, state, worker, nodes = unpack(redis.call('HMGET', meta, 'top', 'state', 'worker', 'nodes'))
top = tonumber(top)
if state == 'ended' then return {'ended', '', top, ''} end
redis.call('HSET', meta, 'cancel', 1)
if state == 'running' then return {'asked', worker, top, nodes} end
redis.call('XADD', log, '0-' .. (top + 1), 'e', ARGV[1])
redis.call('HSET', meta, 'top', top + 1, 'state', 'ended')
keep(tonumber(ARGV[2]), tonumber(ARGV[3]))
return {'cancelled', '', top + 1, nodes}
`);

/** Only meta: node, most nodes → 1, or 0 when it is gone. The oldest gives way: a node that is no more would keep its place for ever. */
export const joinScript = script(`
local names = redis.call('HGET', KEYS[1], 'nodes')
if not names then return 0 end
local nodes = {}
for node in string.gmatch(names, '%S+') do
  if node == ARGV[1] then return 1 end
  table.insert(nodes, node)
end
table.insert(nodes, ARGV[1])
if #nodes > tonumber(ARGV[2]) then table.remove(nodes, 1) end
redis.call('HSET', KEYS[1], 'nodes', table.concat(nodes, ' '))
return 1
`);

/** One key: binding, ttlMs → the binding that holds now. */
export const bindKeyScript = script(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
`);
