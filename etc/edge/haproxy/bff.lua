-- bff.lua - HAProxy asks bff about each request, as other proxies do by ForwardAuth
--
--   http-request lua.bff ADDRESS:PORT HEADER,HEADER...      bff's verify listener; what its 200 carries
--   and after it a rule that refuses what is not allowed: { var(txn.bff_allowed) -m bool }
--
-- A 200 sets each HEADER of the request, or takes it off where bff has nothing to say, and then
-- txn.bff_allowed. Any other answer of bff goes to the client as it is. No answer (or one that HAProxy made up,
-- which has no X-Correlation-ID): neither happens.
-- bff never gets the body, so an upload does not pass through here.

local TIMEOUT_MS = 10000

-- What bff decides by. Doubled ones reach it doubled, and it refuses them.
local asked_by = {
	"accept", "access-control-request-headers", "access-control-request-method", "authorization", "cookie",
	"origin", "referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user",
	"sec-websocket-key", "traceparent", "user-agent", "x-csrf-token", "x-requested-with",
}
local of_the_connection = {
	["connection"] = true, ["content-length"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true,
}

-- HAProxy counts a header's values from 0, its HTTP client takes them from 1.
local function list(values)
	local all = {}
	for i = 0, #values do
		all[i + 1] = values[i]
	end
	return all
end

-- A WebSocket says so by its scheme: one that came by HTTP/2 has no Sec-WebSocket-Key until HAProxy writes it for
-- the service. haproxy.cfg leaves Upgrade to WebSockets alone.
local function scheme(txn, came)
	local secure = txn.f:ssl_fc() == 1 and "s" or ""
	return (came["upgrade"] and "ws" or "http") .. secure
end

local function question(txn)
	local came, sent = txn.http:req_get_headers(), {}
	for _, name in ipairs(asked_by) do
		if came[name] then
			sent[name] = list(came[name])
		end
	end
	sent["x-forwarded-method"] = { txn.f:method() }
	sent["x-forwarded-uri"] = { txn.f:pathq() }
	sent["x-forwarded-host"] = came["host"] and list(came["host"])
	sent["x-forwarded-proto"] = { scheme(txn, came) }
	sent["x-forwarded-for"] = { tostring(txn.f:src()) }
	return sent
end

local function allow(txn, answer, headers)
	for name in headers:gmatch("[^,]+") do
		local values = answer.headers[name:lower()]
		if values and values[0] ~= "" then
			txn.http:req_set_header(name, values[0])
		else
			txn.http:req_del_header(name)
		end
	end
	txn:set_var("txn.bff_allowed", true)
end

local function deny(txn, answer)
	local reply = txn:reply({ status = answer.status })
	for name, values in pairs(answer.headers) do
		if not of_the_connection[name] then
			for i = 0, #values do
				reply:add_header(name, values[i])
			end
		end
	end
	reply:set_body(answer.body or "")
	txn:done(reply)
end

core.register_action("bff", { "http-req" }, function(txn, verify, headers)
	local url = "http://" .. verify .. "/auth/verify"
	local answer = core.httpclient():get({ url = url, headers = question(txn), timeout = TIMEOUT_MS })
	if not answer.headers or not answer.headers["x-correlation-id"] then
		return
	elseif answer.status == 200 then
		allow(txn, answer, headers)
	elseif answer.status >= 300 then
		deny(txn, answer)
	end
end, 2)
