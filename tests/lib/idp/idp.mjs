// A real OpenID provider (npm oidc-provider) for the tests and the demo.
//
//	node idp.mjs MODULES CONFIG.json
//
// MODULES is the node_modules folder that holds oidc-provider. CONFIG.json (see
// tests/lib/idp.py, which writes it) has port, control_port, clients, users, resources and
// access_token_ttl; a port of 0 is chosen by the system. Both servers bind 127.0.0.1. When both
// listen, one line of JSON on stdout says where: {"issuer": ..., "control": ...}.
//
// People log in by a button a user; a login_hint that names one of them skips the page, and
// consent is always given. The control server answers GET /stats and takes POST /knobs (the members of
// `knobs` below), /users (claims by user id, replaced; null: that user is gone), /down and /up (the listener
// goes and comes, the state stays), and /sign, which answers with a token of {key, header, claims}: what this
// provider could say, and did not.
//
// Beside what oidc-provider has, it takes token exchange (RFC 8693, an audience of the resources) and Entra's
// on-behalf-of, for clients that list their grant types.

import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { pathToFileURL } from 'node:url';

console.info = console.error; // stdout is read to its first line and then closed
const [modules, configFile] = process.argv.slice(2);
const config = JSON.parse(readFileSync(configFile, 'utf8'));
const oidc = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));
const { default: Provider, interactionPolicy, errors } = oidc;

const stats = {
  token_requests: 0,
  by_grant: {}, // "refresh_token" or "refresh_token RESOURCE" -> requests answered with 200
  refreshes: 0, // 200 to a refresh
  reuses: 0, // a consumed refresh token came again
  consumed: 0, // refresh tokens that were spent
  regrants: 0, // the same within knobs.grace_ms: honoured
  revocations: 0, // 200 from the revocation endpoint
  end_sessions: [], // "GET" or "POST" of each end-session request, with " hint" where an ID token came along
  revoked: [], // the tokens they named
  revocations_refused: 0, // by revoke_status
  authorizations: 0,
  pushed: {}, // request_uri -> the parameters of that pushed authorization request
  push_failures: 0, // answered so by push_fail_status
  userinfo: 0, // 200 from the UserInfo endpoint
  userinfo_unanswered: 0,
  logouts: 0,
  backchannel: [], // "ok CLIENT" or "CLIENT: why not" of each logout token that was sent
  logout_tokens: [], // themselves
  errors: [], // what the wire does not say
  refresh_tokens: [], // every one issued: canaries that no log may hold
  codes: [],
  traces: [], // "PATH TRACEPARENT" of each request that had one
};
const knobs = {
  access_token_ttl: config.access_token_ttl ?? 300,
  latency_ms: 0, // before the token endpoint does anything
  fail_status: 0, // the token endpoint answers so, without doing anything
  fail_retry_after: 0,
  fail_count: 0, // so many times; -1 = until set back
  push_fail_status: 0, // the endpoint for pushed requests answers so
  acr: '', // what a login is said to be, whatever was asked for; '' = what was asked for
  auth_age_s: 0, // a login is said to be so old
  answer_latency_ms: 0, // after the token endpoint did it all (the refresh token is consumed)
  grace_ms: 0, // a consumed refresh token still works for so long
  refused_resources: [], // known at login, and no more
  exchange_refused: false, // every subject token is
  revoke_status: 0, // the revocation endpoint answers so, without doing anything
  revoke_retry_after: 0,
  revoke_count: 0, // so many times; -1 = until set back
  userinfo_silent: false, // UserInfo takes the question and says nothing
  drop_count: 0, // so many answers are computed (the refresh token is consumed) and not sent
};

// Everything in one Map, without expiry and without a limit: a test ends before that matters.
const store = new Map();
const members = new Map(); // grant id -> keys

class MapAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.key(id);
    store.set(key, payload);
    if (payload.uid && this.model === 'Session') store.set(`uid:${payload.uid}`, id);
    if (payload.grantId) {
      if (!members.has(payload.grantId)) members.set(payload.grantId, new Set());
      members.get(payload.grantId).add(key);
    }
    if (this.model === 'RefreshToken' && !stats.refresh_tokens.includes(id)) {
      stats.refresh_tokens.push(id);
    }
    if (this.model === 'AuthorizationCode' && !stats.codes.includes(id)) stats.codes.push(id);
  }

  // Within the grace period a consumed refresh token is given out as if it were not: it rotates into a branch.
  async find(id) {
    const payload = store.get(this.key(id));
    if (this.model === 'RefreshToken' && payload?.consumed && Date.now() < payload.consumedMs + knobs.grace_ms) {
      stats.regrants += 1;
      return { ...payload, consumed: undefined };
    }
    return payload;
  }

  async findByUid(uid) {
    return this.find(store.get(`uid:${uid}`));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const payload = store.get(this.key(id));
    if (this.model === 'RefreshToken') stats.consumed += 1;
    payload.consumedMs ??= Date.now(); // the grace period is the first one's
    payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    store.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of members.get(grantId) ?? []) store.delete(key);
    members.delete(grantId);
  }
}

function signingKeys() {
  const jwk = (kid, pair) => ({ ...pair.privateKey.export({ format: 'jwk' }), kid, use: 'sig' });
  return [
    jwk('rsa', generateKeyPairSync('rsa', { modulusLength: 2048 })),
    jwk('ec', generateKeyPairSync('ec', { namedCurve: 'P-256' })),
    jwk('ed', generateKeyPairSync('ed25519')),
  ];
}

const keys = signingKeys();

// Made with one of the provider's keys, or with `stranger`, which is nobody's.
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function signed({ key, header, claims }) {
  const jwk = keys.find(({ kid }) => kid === key);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part(header)}.${part(claims)}`;
  const secret = key === 'stranger' ? stranger : createPrivateKey({ key: jwk, format: 'jwk' });
  const made = sign(key === 'ed' ? null : 'sha256', Buffer.from(text), { key: secret, dsaEncoding: 'ieee-p1363' });
  return `${text}.${made.toString('base64url')}`;
}

// A logout token's way to a client on loopback. The provider's own fetch refuses to talk to loopback, and names
// below localhost resolve nowhere here. One form parameter more than the client knows, as conformance suites have it.
function post(url, { method, headers, body }) {
  const form = new URLSearchParams(body);
  stats.logout_tokens.push(form.get('logout_token'));
  form.set('unknown', 'parameter');
  const { host, port: number, pathname } = new URL(url);
  const to = { host: '127.0.0.1', port: number, path: pathname, method, headers: { ...headers, host } };
  return new Promise((resolve, reject) => {
    const req = httpRequest(to, (res) => {
      res.resume();
      res.on('end', () => resolve(new Response(null, { status: res.statusCode })));
    });
    req.on('error', reject);
    req.end(form.toString());
  });
}

function policy() {
  const prompts = interactionPolicy.base();
  prompts.get('login').checks.add(new interactionPolicy.Check(
    'hinted_other',
    'another user than the one logged in is asked for',
    (ctx) => {
      const { session, params } = ctx.oidc;
      const hint = config.users[params.login_hint];
      return Boolean(hint && session.accountId && session.accountId !== params.login_hint);
    },
  ));
  prompts.get('login').checks.add(new interactionPolicy.Check(
    'other_acr',
    'another way to log in than the one before is asked for',
    (ctx) => {
      const { session, params, result } = ctx.oidc;
      return Boolean(params.acr_values && session.accountId && !result?.login
        && !params.acr_values.split(' ').includes(session.acr));
    },
  ));
  return prompts;
}

function submitAtOnce(ctx, form) {
  ctx.body = `<!DOCTYPE html><title>Logging out</title>${form}
<script>
  const form = document.forms[0];
  const yes = document.createElement('input');
  yes.type = 'hidden'; yes.name = 'logout'; yes.value = 'yes';
  form.append(yes);
  form.submit();
</script>`;
}

function resourceServer(resource) {
  if (!config.resources.includes(resource) || knobs.refused_resources.includes(resource)) throw new errors.InvalidTarget();
  return {
    scope: 'read write',
    audience: resource,
    accessTokenTTL: knobs.access_token_ttl,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

const cookies = { keys: [randomBytes(32).toString('base64url')] };

function settings() {
  return {
    adapter: MapAdapter,
    clients: config.clients.map((client) => ({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'RS256',
      require_auth_time: true,
      ...client,
    })),
    jwks: { keys },
    fetch: post,
    cookies,
    findAccount: async (ctx, id) => config.users[id] && {
      accountId: id,
      claims: async () => ({ ...config.users[id], sub: id }),
    },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'groups'],
      email: ['email', 'email_verified'],
    },
    scopes: ['openid', 'offline_access', 'read', 'write'],
    acrValues: ['password', 'otp'],
    conformIdTokenClaims: config.conform_id_token_claims ?? false, // true: profile and email by UserInfo alone
    rotateRefreshToken: true,
    // By POST an end-session request comes without cookies that are Lax. Not for a browser that wants None to be Secure.
    ...(config.post_methods && { enableHttpPostMethods: true, cookies: { ...cookies, long: { sameSite: 'none' } } }),
    ttl: {
      AccessToken: () => knobs.access_token_ttl,
      AuthorizationCode: 60,
      Grant: 86400,
      IdToken: 300,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
    },
    interactions: { url: (ctx, it) => `/interaction/${it.uid}`, policy: policy() },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: config.pushed_requests ?? true },
      rpInitiatedLogout: { enabled: true, logoutSource: submitAtOnce },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => resourceServer(resource),
        useGrantedResource: () => false,
      },
    },
    renderError: (ctx, out, error) => {
      stats.errors.push(`${out.error}: ${error.error_detail ?? error.message}`);
      ctx.type = 'html';
      ctx.body = `<!DOCTYPE html><title>Error</title><h1>${out.error}</h1>`;
    },
  };
}

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// The faults at the token endpoint; see `knobs`.
async function tokenFaults(ctx, next) {
  if (ctx.path !== '/token') {
    await next();
    return;
  }
  stats.token_requests += 1;
  if (knobs.latency_ms) await wait(knobs.latency_ms);
  if (knobs.fail_status && knobs.fail_count !== 0) {
    if (knobs.fail_count > 0) knobs.fail_count -= 1;
    ctx.status = knobs.fail_status;
    if (knobs.fail_retry_after) ctx.set('retry-after', String(knobs.fail_retry_after));
    ctx.body = { error: 'temporarily_unavailable' };
    return;
  }
  await next();
  if (knobs.answer_latency_ms) await wait(knobs.answer_latency_ms);
  if (knobs.drop_count > 0) {
    knobs.drop_count -= 1;
    ctx.respond = false;
    ctx.req.socket.destroy();
  }
}

async function pushFaults(ctx, next) {
  if (ctx.path !== '/request' || !knobs.push_fail_status) {
    await next();
    return;
  }
  stats.push_failures += 1;
  ctx.status = knobs.push_fail_status;
  ctx.body = { error: 'invalid_request' };
}

async function revocationFaults(ctx, next) {
  if (ctx.path !== '/token/revocation' || !knobs.revoke_status || knobs.revoke_count === 0) {
    await next();
    return;
  }
  if (knobs.revoke_count > 0) knobs.revoke_count -= 1;
  stats.revocations_refused += 1;
  ctx.status = knobs.revoke_status;
  if (knobs.revoke_retry_after) ctx.set('retry-after', String(knobs.revoke_retry_after));
  ctx.body = { error: 'temporarily_unavailable' };
}

async function userinfoFaults(ctx, next) {
  if (ctx.path !== '/me' || !knobs.userinfo_silent) {
    await next();
    return;
  }
  stats.userinfo_unanswered += 1;
  ctx.respond = false;
}

async function count(ctx, next) {
  await next();
  if (ctx.get('traceparent')) stats.traces.push(`${ctx.path} ${ctx.get('traceparent')}`);
  const params = ctx.oidc?.params ?? {};
  if (ctx.path === '/request' && ctx.status === 201) stats.pushed[ctx.body.request_uri] = { ...params };
  if (ctx.status !== 200) return;
  if (ctx.path === '/me') stats.userinfo += 1;
  if (ctx.path === '/session/end') stats.end_sessions.push(ctx.method + (params.id_token_hint ? ' hint' : ''));
  if (ctx.path === '/token') {
    const name = [params.grant_type, params.resource ?? params.audience].filter(Boolean).join(' ');
    stats.by_grant[name] = (stats.by_grant[name] ?? 0) + 1;
    if (params.grant_type === 'refresh_token') stats.refreshes += 1;
  } else if (ctx.path === '/token/revocation') {
    stats.revocations += 1;
    stats.revoked.push(params.token);
  }
}

function page(title, body) {
  return `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 22rem; margin: 4rem auto; padding: 0 1rem; color: #1d2433 }
  h1 { font-size: 1.3rem } p { color: #5b6577 }
  button { display: block; width: 100%; margin: .6rem 0; padding: .7rem 1rem; font: inherit; text-align: left;
    border: 1px solid #c9d0dc; border-radius: 6px; background: #fff; cursor: pointer }
  button:hover { border-color: #3559c7 } small { color: #5b6577 }
</style>${body}</html>`;
}

function choice(uid) {
  const text = (s) => String(s).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const buttons = Object.entries(config.users).map(([id, user]) => `
    <button name="user" value="${text(id)}" id="user-${text(id)}">${text(user.name)}<br>
    <small>${text(user.email)}</small></button>`);
  return page('Who are you?', `<h1>Who are you?</h1>
    <p>A real OpenID provider would ask for a password here.</p>
    <form method="post" action="/interaction/${uid}">${buttons.join('')}</form>`);
}

async function formOf(req) {
  let body = '';
  for await (const chunk of req) {
    body += chunk;
    if (body.length > 4096) break;
  }
  return new URLSearchParams(body);
}

async function consent(provider, details, accountId) {
  const { params } = details;
  let grant = details.grantId && await provider.Grant.find(details.grantId);
  if (!grant || grant.accountId !== accountId) {
    grant = new provider.Grant({ accountId, clientId: params.client_id });
  }
  grant.addOIDCScope(params.scope ?? 'openid');
  for (const resource of [params.resource ?? []].flat()) {
    grant.addResourceScope(resource, 'read write');
  }
  return { grantId: await grant.save() };
}

// One interaction does both: who it is, and consent.
async function interaction(provider, req, res) {
  const details = await provider.interactionDetails(req, res);
  const known = details.session?.accountId;
  let accountId = details.prompt.name === 'login' ? details.params.login_hint : known;
  if (req.method === 'POST') accountId = (await formOf(req)).get('user');
  if (!config.users[accountId]) {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    res.end(choice(details.uid));
    return;
  }
  await provider.interactionFinished(req, res, {
    login: {
      accountId,
      acr: knobs.acr || details.params.acr_values?.split(' ')[0] || 'password',
      ts: Math.floor(Date.now() / 1000) - knobs.auth_age_s,
      remember: true,
    },
    consent: await consent(provider, details, accountId),
  });
}

// Both exchanges: an access token of the login for one of a resource, without a refresh token.
async function exchange(provider, ctx, subjectToken, resource) {
  const subject = subjectToken && await provider.AccessToken.find(subjectToken);
  if (!subject || knobs.exchange_refused || subject.clientId !== ctx.oidc.client.clientId || !config.users[subject.accountId]) {
    throw new errors.InvalidRequest('no such subject token');
  }
  const token = new provider.AccessToken({
    accountId: subject.accountId,
    client: ctx.oidc.client,
    grantId: subject.grantId,
    gty: 'exchange',
    scope: 'read',
    sessionUid: subject.sessionUid,
  });
  token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource));
  return { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope: 'read' };
}

function exchanges(provider) {
  const tokenType = 'urn:ietf:params:oauth:token-type:access_token';
  provider.registerGrantType('urn:ietf:params:oauth:grant-type:token-exchange', async (ctx) => {
    const { params } = ctx.oidc;
    if (params.subject_token_type !== tokenType) throw new errors.InvalidRequest('subject_token_type');
    ctx.body = {
      ...await exchange(provider, ctx, params.subject_token, params.audience),
      issued_token_type: tokenType,
    };
  }, ['audience', 'scope', 'subject_token', 'subject_token_type', 'requested_token_type']);
  provider.registerGrantType('urn:ietf:params:oauth:grant-type:jwt-bearer', async (ctx) => {
    const { params } = ctx.oidc;
    if (params.requested_token_use !== 'on_behalf_of') throw new errors.InvalidRequest('requested_token_use');
    ctx.body = await exchange(provider, ctx, params.assertion, params.scope?.replace(/\/\.default$/, ''));
  }, ['assertion', 'scope', 'requested_token_use']);
}

function openIdServer(issuer, handler) {
  const provider = new Provider(issuer, settings());
  exchanges(provider);
  provider.on('grant.error', (ctx, error) => {
    const why = error.error_detail ?? error.message;
    stats.errors.push(why);
    if (why === 'refresh token already used') stats.reuses += 1;
  });
  provider.on('server_error', (ctx, error) => stats.errors.push(String(error.stack)));
  provider.on('authorization.success', () => { stats.authorizations += 1; });
  provider.on('end_session.success', () => { stats.logouts += 1; });
  provider.on('backchannel.success', (ctx, client) => stats.backchannel.push(`ok ${client.clientId}`));
  provider.on('backchannel.error', (ctx, error, client) => stats.backchannel.push(`${client.clientId}: ${error.message}`));
  provider.use(count);
  provider.use(tokenFaults);
  provider.use(pushFaults);
  provider.use(revocationFaults);
  provider.use(userinfoFaults);
  const callback = provider.callback();
  handler.current = (req, res) => {
    if (!req.url.startsWith('/interaction/')) {
      callback(req, res);
      return;
    }
    interaction(provider, req, res).catch((error) => {
      stats.errors.push(String(error.stack));
      res.writeHead(400, { 'content-type': 'text/plain' });
      res.end(`${error.error_description ?? error.message}\n`);
    });
  };
}

const listen = (server, port) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});

const handler = {};
const server = createServer((req, res) => handler.current(req, res));
const port = await listen(server, config.port ?? 0);
const issuer = `http://127.0.0.1:${port}`;
openIdServer(issuer, handler);

async function membersOf(req) {
  let body = '';
  for await (const chunk of req) body += chunk;
  return Object.entries(JSON.parse(body));
}

async function control(req) {
  switch (`${req.method} ${req.url}`) {
    case 'GET /stats':
      return stats;
    case 'POST /users':
      for (const [id, claims] of await membersOf(req)) {
        if (claims) config.users[id] = claims;
        else delete config.users[id];
      }
      return {};
    case 'POST /knobs': {
      for (const [name, value] of await membersOf(req)) {
        if (!(name in knobs)) throw new Error(`no knob ${name}`);
        knobs[name] = value;
      }
      return knobs;
    }
    case 'POST /sign': {
      let body = '';
      for await (const chunk of req) body += chunk;
      return { token: signed(JSON.parse(body)) };
    }
    case 'POST /down':
      if (server.listening) {
        const closed = new Promise((resolve) => { server.close(resolve); });
        server.closeAllConnections();
        await closed;
      }
      return {};
    case 'POST /up':
      if (!server.listening) await listen(server, port);
      return {};
    default:
      throw new Error('unknown');
  }
}

const controlServer = createServer((req, res) => {
  control(req).then(
    (answer) => [200, answer],
    (error) => [400, { error: error.message }],
  ).then(([status, answer]) => {
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(answer));
  });
});
const controlPort = await listen(controlServer, config.control_port ?? 0);

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
console.log(JSON.stringify({ issuer, control: `http://127.0.0.1:${controlPort}` }));
