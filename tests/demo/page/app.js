// The whole client side of a BFF: ask who one is, call services with the cookie, send the CSRF token
// with whatever changes something. bff.js is etc/spa/bff.ts.

import { Bff } from './bff.js';

const bff = new Bff();
const $ = (id) => document.getElementById(id);

function fill(list, rows) {
  list.replaceChildren(...Object.entries(rows).flatMap(([key, value]) => {
    const dt = document.createElement('dt');
    const dd = document.createElement('dd');
    dt.textContent = key;
    dd.textContent = value;
    return [dt, dd];
  }));
}

function show(title, good, rows) {
  const article = $('answer').content.firstElementChild.cloneNode(true);
  article.className = good ? 'good' : 'bad';
  article.querySelector('h3').textContent = title;
  fill(article.querySelector('dl'), rows);
  $('answers').prepend(article);
}

function whatTheScriptSees() {
  fill($('seen'), {
    'document.cookie': document.cookie || 'nothing',
    localStorage: `${localStorage.length} entries`,
    sessionStorage: `${sessionStorage.length} entries`,
  });
}

let unwatch = () => undefined;

// Wherever the session ends, the page says so by itself.
function watch(authenticated) {
  unwatch();
  unwatch = authenticated ? bff.watch((event) => { if (event.type === 'ended') whoAmI(); }) : () => undefined;
}

async function whoAmI() {
  const session = await bff.session();
  watch(session.authenticated);
  $('anonymous').hidden = session.authenticated;
  $('known').hidden = !session.authenticated;
  if (session.authenticated) {
    const { name, email, groups } = session.claims;
    $('name').textContent = name;
    fill($('who'), {
      subject: session.subject,
      email,
      groups: (groups ?? []).join(', '),
      'logged in until': new Date(session.expires_at * 1000).toLocaleTimeString(),
      services: session.services.join(', '),
    });
  }
  whatTheScriptSees();
  document.body.dataset.state = session.authenticated ? 'known' : 'anonymous';
}

async function ask(path, options = {}, send = (...args) => bff.fetch(...args)) {
  const method = options.method ?? 'GET';
  const answer = await send(path, { ...options, headers: { Accept: 'application/json' } });
  const type = answer.headers.get('content-type') ?? '';
  const body = type.includes('json') ? await answer.json() : {};
  const title = `${method} ${path} → ${answer.status}`;
  if (!answer.ok) {
    show(title, false, { error: body.error ?? answer.statusText });
    if (answer.status === 401) await whoAmI();
    return;
  }
  const header = (name) => body.headers.find(([key]) => key.toLowerCase() === name)?.[1] || '–';
  show(title, true, {
    'the service is': body.service,
    'X-User-ID': header('x-user-id'),
    'X-User-Email': header('x-user-email'),
    'X-User-Groups': header('x-user-groups'),
    'token is for': body.token?.aud ?? '–',
    'token is of': body.token?.sub ?? '–',
    Cookie: header('cookie'),
  });
}

const order = { method: 'POST', body: JSON.stringify({ item: 'a book' }) };

async function logout(everywhere) {
  try {
    window.location.assign(await bff.logout({ everywhere }));
  } catch {
    await whoAmI();
  }
}

$('call-crm').onclick = () => ask('/api/crm/customers');
$('call-orders').onclick = () => ask('/api/orders/latest');
$('create').onclick = () => ask('/api/orders/new', order);
$('create-forged').onclick = () => ask('/api/orders/new', order, (...args) => fetch(...args));
$('logout').onclick = () => logout(false);
$('logout-everywhere').onclick = () => logout(true);
await whoAmI();
