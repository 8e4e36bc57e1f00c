-- What the scripts of a log have in common. Its keys, all in one slot of a Cluster:
-- the stream; a text that is made with it and names its life; a sorted set of the
-- records by when they end; a hash from a record's identifier to its place.
local stream, epoch, ends, ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- clock is the server's, in milliseconds since 1970: by it alone anything is forgotten
-- here. A node whose clock is ahead must not empty the log for all.
local function clock()
	local time = redis.call('TIME')
	return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- begin makes the log if there is none. A stream that never held anything has no last
-- place that a position could be compared with: so one record comes and goes. It comes
-- first: a server without memory refuses it, and would refuse nothing after a DEL.
local function begin(fresh)
	if redis.call('EXISTS', stream) == 0 then
		redis.call('XDEL', stream, redis.call('XADD', stream, '*', 'k', ''))
		redis.call('DEL', ends, ids)
		redis.call('SET', epoch, fresh)
	elseif redis.call('EXISTS', epoch) == 0 then
		redis.call('SET', epoch, fresh)
	end
end

-- lost is how many places are known to lead to no record: somebody else took those out
-- of the stream. It stands among the identifiers, under a name that none can have.
local function lost()
	return tonumber(redis.call('HGET', ids, 'lost') or 0)
end

-- forget takes a record away, and what leads to it.
local function forget(id)
	local found = redis.call('XRANGE', stream, id, id)
	for _, entry in ipairs(found) do
		for name in string.gmatch(entry[2][2] or '', '%S+') do
			redis.call('HDEL', ids, name)
		end
	end
	local there = redis.call('XDEL', stream, id)
	if redis.call('ZREM', ends, id) > there and lost() > 0 then
		redis.call('HSET', ids, 'lost', lost() - 1)
	end
end

-- sweep forgets some of what has ended.
local function sweep(now, limit)
	local ended = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, limit)
	for _, id in ipairs(ended) do
		forget(id)
	end
end
