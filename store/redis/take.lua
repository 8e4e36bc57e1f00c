-- The generic cell rate algorithm. The key holds the instant, in microseconds since
-- 1970, at which it has all of its rate again. The server's clock is the one that all
-- nodes have in common.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- An instant later than any that an event can lead to comes from a clock that was set
-- back: it would lock the key for as long.
local full = tonumber(redis.call('GET', KEYS[1]) or now) or now
full = math.min(math.max(full, now), now + burst)

local after = full + interval
local spare = burst - (after - now)
if spare < 0 then
	return {0, 0, full - now, -spare}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor(spare / interval), after - now, 0}
