-- How many of so many more calls may be made? Counts those that may. Answers {granted, turn, word, seconds}: the first
-- of them has its turn after ``turn`` seconds (its token of the rate is reserved; in the past: at once), and of
-- the others it says
--   open      the breaker is open, or its one probe is under way, for so long
--   opened    it opens now, for so long
--   unproven  as many calls as may be spent wait for their first answer: look again
--   rate      the next token is further away than a worker should wait
-- Times come from this server's clock: the workers' differ.
local breaker, rate = KEYS[1], KEYS[2]
local calls, patience, cool_down, probe = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local per_second, longest_wait, ttl = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local wanted, proven = tonumber(ARGV[8]), tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local found = redis.call(
    'HMGET', breaker, 'open_until', 'cool_down', 'probe_until', 'unanswered', 'since', 'answered_at')
local open_until, cooled, probe_until = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
local unanswered, since, answered_at = tonumber(found[4] or 0), tonumber(found[5] or now), tonumber(found[6] or 0)
local granted, word, seconds = wanted, 'unproven', 1

if open_until > now then return {0, '0', 'open', tostring(open_until - now)} end
if cooled > 0 then
    if probe_until > now then return {0, '0', 'open', tostring(probe_until - now)} end
    granted, word, seconds = 1, 'open', probe
elseif now - answered_at > proven then
    if unanswered >= calls and now - since >= patience then
        redis.call('HSET', breaker, 'open_until', now + cool_down, 'cool_down', cool_down)
        return {0, '0', 'opened', tostring(cool_down)}
    end
    granted = math.min(wanted, math.max(0, calls - unanswered))
end

local turn = 0
if per_second > 0 and granted > 0 then
    -- One second's worth may go at once; after that a token each 1 / per_second.
    local token = math.max(tonumber(redis.call('GET', rate) or 0), now - 1)
    turn = token - now
    local in_time = math.floor((longest_wait - turn) * per_second) + 1
    if in_time < granted then
        granted, word = math.max(0, in_time), 'rate'
        seconds = turn + granted / per_second
    end
    if granted > 0 then
        redis.call('SET', rate, string.format('%.6f', token + granted / per_second), 'EX', ttl)
    end
end
if granted > 0 then
    if cooled > 0 then redis.call('HSET', breaker, 'probe_until', now + probe) end
    if unanswered == 0 then redis.call('HSET', breaker, 'since', string.format('%.6f', now)) end
    redis.call('HINCRBY', breaker, 'unanswered', granted)
    redis.call('EXPIRE', breaker, ttl)
end
return {granted, tostring(turn), word, tostring(seconds)}
