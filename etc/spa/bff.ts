/**
 * bff.ts - what a page needs to live behind bff: who one is, requests with the CSRF token, login,
 * logout, and word of the session's end. No dependency; compile it with your page, or copy it.
 *
 *     const bff = new Bff();
 *     const session = await bff.session();
 *     if (!session.authenticated) location.assign(bff.loginUrl());
 *     const answer = await bff.fetch('/api/crm/customers', { method: 'POST', body });
 *     bff.watch((event) => { if (event.type === 'ended') location.reload(); });
 *
 * It keeps nothing: no token ever reaches a page, and the CSRF token is read from its cookie anew for
 * each request, as a login in another tab changes it.
 */

/** Someone is logged in. Times are seconds since 1970. */
export interface Session {
  authenticated: true;
  subject: string;
  /** Those of the app's page_claims that the session has. */
  claims: Record<string, unknown>;
  csrf_token: string;
  expires_at: number;
  idle_expires_at: number;
  services: string[];
  logout_url: string;
}

/** Nobody is. */
export interface Anonymous {
  authenticated: false;
  login_url: string;
}

/**
 * `live`: the stream is open, the session lives. `expiring`: it ends within a minute unless it is
 * used. `ended`: it is over, wherever that happened (another tab, another device, an operator).
 */
export interface SessionEvent {
  type: 'live' | 'expiring' | 'ended';
  /** Seconds since 1970; not with `ended`. */
  expires_at?: number;
  idle_expires_at?: number;
}

/** What logs a user in anew, or more strongly or freshly (RFC 9470). */
export interface LoginWish {
  /** Where to come back to; default: this page. */
  returnTo?: string;
  prompt?: 'none';
  loginHint?: string;
  acrValues?: string;
  /** Seconds. */
  maxAge?: number;
}

export interface BffOptions {
  /** The app's auth_path. */
  authPath?: string;
  /** Further origins that take the CSRF token; the page's own always does. */
  origins?: string[];
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
const EVENTS = ['live', 'expiring', 'ended'] as const;
/** After so long, and up to twice that, a stream is opened again that was refused although someone is logged in. */
const REFUSED_MS = 15_000;

function cookie(name: string): string | undefined {
  const found = document.cookie.split('; ').find((pair) => pair.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

export class Bff {
  readonly #auth: string;
  readonly #origins: Set<string>;
  #asking: Promise<Session | Anonymous> | undefined;

  constructor(options: BffOptions = {}) {
    this.#auth = options.authPath ?? '/auth';
    this.#origins = new Set([location.origin, ...(options.origins ?? [])]);
  }

  /**
   * Who is logged in. `slide: false` does not count as activity: for a page that asks by itself.
   * Rejects where bff cannot tell (503), which is not "nobody".
   */
  async session(options: { slide?: boolean } = {}): Promise<Session | Anonymous> {
    const query = options.slide === false ? '?slide=false' : '';
    const answer = await fetch(`${this.#auth}/session${query}`, { headers: { Accept: 'application/json' } });
    if (answer.status !== 200 && answer.status !== 401) {
      throw new Error(`bff answers ${answer.status}`);
    }
    return (await answer.json()) as Session | Anonymous;
  }

  /**
   * fetch() with the CSRF token where the method asks for one, and one retry after a 401: a session
   * may have been renewed in another tab meanwhile. A 401 that stays is returned, as any answer is;
   * stepUp() says whether a stronger login is what it asks for.
   */
  async fetch(input: string | URL, init: RequestInit = {}): Promise<Response> {
    const answer = await this.#send(input, init);
    if (answer.status !== 401 || init.body instanceof ReadableStream || Bff.stepUp(answer) !== undefined) {
      return answer;
    }
    const session = await this.#askOnce().catch(() => undefined);
    return session?.authenticated ? this.#send(input, init) : answer;
  }

  /** Where to log in. */
  loginUrl(wish: LoginWish = {}): string {
    const query = new URLSearchParams({ return_to: wish.returnTo ?? location.href });
    if (wish.prompt !== undefined) query.set('prompt', wish.prompt);
    if (wish.loginHint !== undefined) query.set('login_hint', wish.loginHint);
    if (wish.acrValues !== undefined) query.set('acr_values', wish.acrValues);
    if (wish.maxAge !== undefined) query.set('max_age', String(wish.maxAge));
    return `${this.#auth}/login?${query}`;
  }

  /** Of a 401 that asks for a stronger or fresher login: what loginUrl() takes to get it. */
  static stepUp(answer: Response): LoginWish | undefined {
    const challenge = answer.headers.get('WWW-Authenticate') ?? '';
    if (answer.status !== 401 || !challenge.includes('insufficient_user_authentication')) return undefined;
    const acrValues = /acr_values="([^"]*)"/.exec(challenge)?.[1];
    const maxAge = /max_age="?(\d+)/.exec(challenge)?.[1];
    return {
      ...(acrValues === undefined ? {} : { acrValues }),
      ...(maxAge === undefined ? {} : { maxAge: Number(maxAge) }),
    };
  }

  /** Ends the session (or all of this user's) and returns where the browser is to go next. */
  async logout(options: { everywhere?: boolean } = {}): Promise<string> {
    const query = options.everywhere ? '?everywhere=true' : '';
    const answer = await this.#send(`${this.#auth}/logout${query}`, {
      method: 'POST',
      headers: { Accept: 'application/json' },
    });
    if (!answer.ok) throw new Error(`bff answers ${answer.status}`);
    return ((await answer.json()) as { redirect_url: string }).redirect_url;
  }

  /** Calls `listener` for each event of this session; the function returned ends that. */
  watch(listener: (event: SessionEvent) => void): () => void {
    let source: EventSource;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const stop = (): void => {
      stopped = true;
      clearTimeout(timer);
      source.close();
    };
    const end = (): void => {
      if (stopped) return;
      stop();
      listener({ type: 'ended' });
    };
    const later = (): void => {
      if (!stopped) timer = setTimeout(open, REFUSED_MS * (1 + Math.random()));
    };
    const open = (): void => {
      source = new EventSource(`${this.#auth}/session/events`);
      for (const type of EVENTS) {
        source.addEventListener(type, (message) => {
          if (type === 'ended') end();
          else listener({ ...(JSON.parse((message as MessageEvent<string>).data) as object), type });
        });
      }
      // A stream that was refused, not one that broke (that one is opened again by the browser).
      source.addEventListener('error', () => {
        if (source.readyState !== EventSource.CLOSED) return;
        this.session({ slide: false }).then((session) => (session.authenticated ? later() : end()), later);
      });
    };
    open();
    return stop;
  }

  async #send(input: string | URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const method = (init.method ?? 'GET').toUpperCase();
    const token = cookie('bff_csrf');
    const own = this.#origins.has(new URL(input, location.href).origin);
    if (!SAFE.has(method) && own && token !== undefined) headers.set('X-CSRF-Token', token);
    return fetch(input, { ...init, headers });
  }

  /** Many requests that fail at once ask once. */
  #askOnce(): Promise<Session | Anonymous> {
    this.#asking ??= this.session({ slide: false }).finally(() => { this.#asking = undefined; });
    return this.#asking;
  }
}
