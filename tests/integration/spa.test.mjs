// etc/spa/bff.ts, compiled, in a page that is played here: what a browser cannot be made to do on demand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { Bff } = await import(pathToFileURL(process.env.BFF_SPA));
const LIVE = { authenticated: true, csrf_token: 't' };
const NOBODY = { authenticated: false, login_url: '/auth/login' };

/** A page at https://app.example.com/here; answers(url, init, n) makes the n-th answer to a URL. */
function page(answers) {
  const asked = [];
  globalThis.location = new URL('https://app.example.com/here?x=1');
  globalThis.document = { cookie: 'a=b; bff_csrf=token==; bff_csrf2=no' };
  globalThis.fetch = async (input, init = {}) => {
    const url = new URL(input, location.href);
    const n = asked.filter((a) => a.url.pathname === url.pathname).length;
    asked.push({ url, init });
    return answers(url, init, n);
  };
  return asked;
}
const json = (status, body, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const paths = (asked) => asked.map((a) => a.url.pathname + a.url.search);

test('the token goes with what changes something, to the own origin alone', async () => {
  const asked = page(() => json(200, {}));
  const bff = new Bff({ origins: ['https://desk.example.com'] });
  for (const [url, method, sent] of [
    ['/api/x', 'GET', null], ['/api/x', 'HEAD', null], ['/api/x', 'POST', 'token=='], ['/api/x', 'delete', 'token=='],
    ['https://desk.example.com/x', 'PUT', 'token=='], ['https://evil.example/x', 'POST', null],
    ['//evil.example/x', 'POST', null], ['http://app.example.com/x', 'POST', null]]) {
    await bff.fetch(url, { method, headers: { 'X-Own': 'kept' } });
    const { headers } = asked.at(-1).init;
    assert.equal(headers.get('X-CSRF-Token'), sent, `${method} ${url}`);
    assert.equal(headers.get('X-Own'), 'kept');
  }
});

test('a 401 is tried once more where a session lives after all', async () => {
  const asked = page((url, init, n) => (url.pathname === '/auth/session' ? json(200, LIVE) : json(n === 0 ? 401 : 200, {})));
  assert.equal((await new Bff().fetch('/api/x', { method: 'POST', body: 'b' })).status, 200);
  assert.deepEqual(paths(asked), ['/api/x', '/auth/session?slide=false', '/api/x']);
  assert.equal(asked[2].init.body, 'b');
});

test('a 401 that stays is returned, and never tried a third time', async () => {
  const asked = page((url) => (url.pathname === '/auth/session' ? json(200, LIVE) : json(401, {})));
  assert.equal((await new Bff().fetch('/api/x')).status, 401);
  assert.equal(asked.length, 3);
});

test('nobody is logged in, or bff cannot tell: the 401 is returned at once', async () => {
  for (const answer of [() => json(401, NOBODY), () => json(503, {}), () => { throw new TypeError('network'); }]) {
    const asked = page((url) => (url.pathname === '/auth/session' ? answer() : json(401, {})));
    assert.equal((await new Bff().fetch('/api/x')).status, 401);
    assert.equal(asked.length, 2);
  }
});

test('what cannot be sent twice is not', async () => {
  const asked = page(() => json(401, {}));
  await new Bff().fetch('/api/x', { method: 'POST', body: new ReadableStream(), duplex: 'half' });
  assert.equal(asked.length, 1);
});

test('many that fail at once ask once', async () => {
  const asked = page((url, init, n) => (url.pathname === '/auth/session' ? json(200, LIVE) : json(n < 5 ? 401 : 200, {})));
  const bff = new Bff();
  const answers = await Promise.all(Array.from({ length: 5 }, () => bff.fetch('/api/x')));
  assert.ok(answers.every((a) => a.status === 200));
  assert.equal(paths(asked).filter((p) => p.startsWith('/auth/session')).length, 1);
});

test('a demand for a stronger login is not retried, and can be taken to the login', async () => {
  const challenge = 'Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="300"';
  const asked = page(() => json(401, {}, { 'WWW-Authenticate': challenge }));
  const answer = await new Bff().fetch('/api/x');
  assert.equal(asked.length, 1);
  assert.deepEqual(Bff.stepUp(answer), { acrValues: 'gold silver', maxAge: 300 });
  const url = new URL(new Bff().loginUrl(Bff.stepUp(answer)), location.href);
  assert.deepEqual(Object.fromEntries(url.searchParams),
    { return_to: 'https://app.example.com/here?x=1', acr_values: 'gold silver', max_age: '300' });
  assert.equal(Bff.stepUp(json(401, {}, { 'WWW-Authenticate': 'Bearer' })), undefined);
  assert.equal(Bff.stepUp(json(403, {}, { 'WWW-Authenticate': challenge })), undefined);
});

test('a session that cannot be told is no "nobody"', async () => {
  page(() => json(503, {}));
  await assert.rejects(new Bff().session());
  const asked = page(() => json(401, NOBODY));
  assert.deepEqual(await new Bff({ authPath: '/sso' }).session(), NOBODY);
  assert.deepEqual(paths(asked), ['/sso/session']);
});

test('logout returns where to go', async () => {
  const asked = page(() => json(200, { redirect_url: 'https://idp.example/end' }));
  assert.equal(await new Bff().logout({ everywhere: true }), 'https://idp.example/end');
  assert.deepEqual(paths(asked), ['/auth/logout?everywhere=true']);
  assert.equal(asked[0].init.headers.get('X-CSRF-Token'), 'token==');
  page(() => json(403, {}));
  await assert.rejects(new Bff().logout());
});

class Source extends EventTarget {
  static CLOSED = 2;
  static last;
  readyState = 1;
  constructor(url) { super(); this.url = url; Source.last = this; }
  close() { this.readyState = Source.CLOSED; }
  say(type, data) { this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) })); }
}

test('events come as they are said, and the end ends the stream', async () => {
  globalThis.EventSource = Source;
  page(() => json(401, NOBODY));
  const heard = [];
  new Bff().watch((event) => heard.push(event));
  assert.equal(Source.last.url, '/auth/session/events');
  Source.last.say('live', { expires_at: 7 });
  Source.last.say('unknown', {});
  Source.last.say('ended', {});
  assert.deepEqual(heard, [{ type: 'live', expires_at: 7 }, { type: 'ended' }]);
  assert.equal(Source.last.readyState, Source.CLOSED);
});

test('a stream that is refused is the end only where nobody is logged in', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const [state, answer, ends] of [[2, json(401, NOBODY), 1], [2, json(200, LIVE), 0], [2, json(503, {}), 0],
    [0, json(401, NOBODY), 0]]) {
    const asked = page(() => answer);
    const heard = [];
    new Bff().watch((event) => heard.push(event));
    Source.last.readyState = state;
    Source.last.dispatchEvent(new Event('error'));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.equal(heard.length, ends, `${state} ${answer.status}`);
    assert.equal(asked.length, state === 2 ? 1 : 0);
  }
});

test('a stream that is refused although someone is logged in is opened again, until nobody watches', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const answer of [() => json(200, LIVE), () => json(503, {}), () => { throw new TypeError('network'); }]) {
    for (const stops of [false, true]) {
      page(answer);
      const heard = [];
      const stop = new Bff().watch((event) => heard.push(event));
      const first = Source.last;
      first.close();
      first.dispatchEvent(new Event('error'));
      if (stops) stop();
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      t.mock.timers.tick(14_999);
      assert.equal(Source.last, first);
      t.mock.timers.tick(15_001);
      assert.equal(Source.last === first, stops);
      if (stops) continue;
      Source.last.say('live', {});
      Source.last.say('ended', {});
      assert.deepEqual(heard.map((event) => event.type), ['live', 'ended']);
      assert.equal(Source.last.readyState, Source.CLOSED);
    }
  }
});
