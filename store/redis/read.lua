-- Returns the life of the log, its last place, records behind a place, the time, and how
-- the server stands to its master.
-- ARGV: the place, most records, a new life or nothing, a new life
if ARGV[3] ~= '' then
	begin(ARGV[3])
end

-- Each record has a place in the stream and one among the ends. Where the stream has
-- fewer, somebody else took some out of it, and nobody who reads on would notice: the
-- log begins another life, so that all read it once more and put back what they hold.
-- It goes on without where the access list hides the count, or memory is full.
local due = redis.pcall('ZCARD', ends)
if type(due) == 'number' then
	local gone = due - redis.call('XLEN', stream)
	if gone > lost() and not redis.pcall('SET', epoch, ARGV[4]).err then
		redis.call('HSET', ids, 'lost', gone)
	end
end

-- A replica that lost its master answers with what it had then, for as long as it is let.
local run, link = '', ''
local info = redis.pcall('INFO', 'server', 'replication')
if type(info) == 'string' then -- forbidden otherwise: then the life is the text alone
	run = string.match(info, 'run_id:(%x+)') or ''
	link = string.match(info, 'role:(%a+)') or ''
	if link == 'slave' then
		link = string.match(info, 'master_link_status:(%a+)') or ''
	end
end

local last = '0-0'
local about = redis.pcall('XINFO', 'STREAM', stream)
if not about.err then
	for i = 1, #about, 2 do
		if about[i] == 'last-generated-id' then
			last = about[i + 1]
		end
	end
end

-- Somebody who writes to the server can make an entry at the last place of all, behind
-- which there is none to ask for. Whoever stands there must still hear of another life.
local page = {}
if ARGV[1] ~= '18446744073709551615-18446744073709551615' then
	page = redis.call('XRANGE', stream, '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
end

return { run, redis.call('GET', epoch) or '', last, page, string.format('%.0f', clock()), link }
