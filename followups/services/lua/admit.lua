-- May one more call be made? Counts it when it may. Answers {word, seconds}:
--   go        after waiting so long for a token of the rate, which is reserved
--   open      the breaker is open, or its one probe is under way, for so long
--   opened    it opens now, for so long
--   unproven  as many calls as may be spent wait for their first answer: look again
--   rate      the next token is further away than a worker should wait
-- Times come from this server's clock: the workers' differ.
local breaker, rate = KEYS[1], KEYS[2]
local calls, patience, cool_down, probe = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local per_second, longest_wait, ttl = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local found = redis.call('HMGET', breaker, 'open_until', 'cool_down', 'probe_until', 'unanswered', 'since')
local open_until, cooled, probe_until = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
local unanswered, since = tonumber(found[4] or 0), tonumber(found[5] or now)

if open_until > now then return {'open', tostring(open_until - now)} end
if cooled > 0 then
    if probe_until > now then return {'open', tostring(probe_until - now)} end
elseif unanswered >= calls then
    if now - since < patience then return {'unproven', '1'} end
    redis.call('HSET', breaker, 'open_until', now + cool_down, 'cool_down', cool_down)
    return {'opened', tostring(cool_down)}
end

local wait = 0
if per_second > 0 then
    -- One second's worth may go at once; after that a token each 1 / per_second.
    local token = math.max(tonumber(redis.call('GET', rate) or 0), now - 1)
    wait = math.max(0, token - now)
    if wait > longest_wait then return {'rate', tostring(wait)} end
    redis.call('SET', rate, string.format('%.6f', token + 1 / per_second), 'EX', ttl)
end
if cooled > 0 then redis.call('HSET', breaker, 'probe_until', now + probe) end
if unanswered == 0 then redis.call('HSET', breaker, 'since', string.format('%.6f', now)) end
redis.call('HINCRBY', breaker, 'unanswered', 1)
redis.call('EXPIRE', breaker, ttl)
return {'go', tostring(wait)}
