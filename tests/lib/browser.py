"""As much of a browser as a scripted login needs: cookies, redirects, the headers of a navigation and of
a fetch. Every name is 127.0.0.1.

    b = Browser()
    a = b.open("http://app.localhost:8080/auth/login?login_hint=alice")   # follows redirects
    a = b.fetch("http://app.localhost:8080/api/crm/", method="POST")     # as a page's script would
    a = b.get(url); a.status; a.location; a.json(); a.headers; a.cookies()

Cookies follow RFC 6265bis as far as it matters here: host-only or Domain, Path, Max-Age, SameSite (those that
have it stay away from a form that another host's page posts), the prefixes __Host- and __Secure-; Secure counts as met on names under localhost, as in Chromium.
"""
import http.client
import json
import re
import secrets
import urllib.parse
from html import unescape

TIMEOUT_S = 60
REDIRECTS_MAX = 12
NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) bff-test",
}
FETCH = {
    "Accept": "application/json", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Site": "same-origin", "User-Agent": NAVIGATION["User-Agent"],
}


class Answer:
    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body

    def __repr__(self):
        return "<%d %s %r %r>" % (self.status, self.url, self.headers, self.body[:300])

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError("%s came %d times: %r" % (name, len(values), values))
        return values[0] if values else None

    @property
    def location(self):
        return self.header("Location")

    def json(self):
        return json.loads(self.body)

    def cookies(self):
        """{name: attributes in lower case, with "value"} of Set-Cookie."""
        return {c["name"]: c for c in map(_parse_cookie, self.all("Set-Cookie"))}


def _parse_cookie(line):
    parts = [p.strip() for p in line.split(";")]
    name, _, value = parts[0].partition("=")
    cookie = {"name": name, "value": value}
    for p in parts[1:]:
        k, _, v = p.partition("=")
        cookie[k.lower()] = v
    return cookie


def raw(port, method, target, headers, body=None, timeout=TIMEOUT_S, source="127.0.0.1"):
    """One request on a connection of its own. headers: a list of pairs (names may repeat), sent as
    they are; Host among them."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        c.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for k, v in headers:
            c.putheader(k, v)
        if body is not None and not any(k.lower() == "content-length" for k, _ in headers):
            c.putheader("Content-Length", str(len(body)))
        c.endheaders(body)
        r = c.getresponse()
        return Answer("http://127.0.0.1:%d%s" % (port, target), r.status, r.getheaders(), r.read())
    finally:
        c.close()


class Browser:
    def __init__(self):
        # An address of its own, since beginnings of logins are limited per address prefix.
        self.source = "127.%d.%d.1" % (secrets.randbelow(254) + 1, secrets.randbelow(254) + 1)
        self.agent = None  # User-Agent
        self.jar = {}  # (domain, host_only, path, name) -> value
        self.same_site = set()  # keys of the jar
        self.history = []

    # ---- cookies ------------------------------------------------------------------------------

    def _store(self, host, line):
        c = _parse_cookie(line)
        local = host == "localhost" or host.endswith(".localhost") or host == "127.0.0.1"
        domain, host_only = host, True
        if c.get("domain"):
            domain, host_only = c["domain"].lstrip(".").lower(), False
            if "." not in domain or not (host == domain or host.endswith("." + domain)):
                return  # another's, or a public suffix
        if "secure" in c and not local:
            return
        if c["name"].startswith("__Host-") and ("secure" not in c or not host_only or c.get("path") != "/"):
            return
        if c["name"].startswith("__Secure-") and "secure" not in c:
            return
        key = (domain, host_only, c.get("path") or "/", c["name"])
        if c.get("max-age") is not None and int(c["max-age"]) <= 0:
            self.jar.pop(key, None)
        else:
            self.jar[key] = c["value"]
            (self.same_site.add if c.get("samesite", "").lower() in ("lax", "strict") else self.same_site.discard)(key)

    def cookies(self, url, foreign_post=False):
        """{name: value} that a request to url carries."""
        at = urllib.parse.urlsplit(url)
        found = {}
        for key, value in self.jar.items():
            domain, host_only, path, name = key
            if foreign_post and key in self.same_site:
                continue
            fits = at.hostname == domain or (not host_only and at.hostname.endswith("." + domain))
            prefix = path if path.endswith("/") else path + "/"
            if fits and (at.path == path or (at.path or "/").startswith(prefix)):
                found[name] = value
        return found

    def cookie_header(self, url, foreign_post=False):
        return "; ".join("%s=%s" % c for c in self.cookies(url, foreign_post).items())

    def copy(self):
        other = Browser()
        other.jar = dict(self.jar)
        other.same_site = set(self.same_site)
        other.source, other.agent = self.source, self.agent
        return other

    def forget(self, name):
        self.jar = {key: value for key, value in self.jar.items() if key[3] != name}

    # ---- requests -----------------------------------------------------------------------------

    def request(self, method, url, headers=None, body=None, foreign_post=False):
        at = urllib.parse.urlsplit(url)
        sent = {"Host": at.netloc, **(headers or {})}
        cookie = self.cookie_header(url, foreign_post)
        if self.agent:
            sent["User-Agent"] = self.agent
        if cookie and "Cookie" not in sent:
            sent["Cookie"] = cookie
        target = (at.path or "/") + ("?" + at.query if at.query else "")
        answer = raw(at.port or 80, method, target, list(sent.items()), body, source=self.source)
        answer.url = url
        for line in answer.all("Set-Cookie"):
            self._store(at.hostname, line)
        self.history.append((method, url, answer.status))
        return answer

    def get(self, url, **headers):
        """A navigation, without following redirects."""
        return self.request("GET", url, {**NAVIGATION, **headers})

    def fetch(self, url, method="GET", headers=None, body=None, csrf=False, origin=None):
        """As a script of the same origin does it; csrf=True adds the token from bff_csrf."""
        sent = dict(FETCH)
        at = urllib.parse.urlsplit(url)
        if method not in ("GET", "HEAD"):
            sent["Origin"] = origin or "%s://%s" % (at.scheme, at.netloc)
            body = b"" if body is None else body
        if csrf:
            sent["X-CSRF-Token"] = self.cookies(url)["bff_csrf"]
        sent.update(headers or {})
        return self.request(method, url, sent, body)

    def post_form(self, url, fields, origin):
        body = urllib.parse.urlencode(fields).encode()
        return self.request("POST", url, {
            **NAVIGATION, "Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}, body,
            foreign_post=urllib.parse.urlsplit(origin).hostname != urllib.parse.urlsplit(url).hostname)

    def follow(self, answer, until=None):
        """Redirects, and pages that submit themselves; stops before a URL that starts with `until`, which a page
        that posts to it comes to as well: form() reads that."""
        for _ in range(REDIRECTS_MAX):
            if answer.status in (301, 302, 303, 307) and answer.location:
                url = urllib.parse.urljoin(answer.url, answer.location)
                if until and url.startswith(until):
                    return answer
                answer = self.get(url)
                continue
            page = form(answer)
            if page is None or (until and page[0].startswith(until)):
                return answer
            answer = self.post_form(*page)
        raise AssertionError("redirected too often: %r" % self.history[-REDIRECTS_MAX:])

    def open(self, url, until=None):
        return self.follow(self.get(url), until)


def form(answer):
    """(URL, fields, origin of the page) of a page whose script submits its only form (the provider's: logout, form_post)."""
    text = answer.body.decode("utf-8", "replace")
    if answer.status not in (200, 400) or not re.search(r"(form|document\.forms\[0\])\.submit\(\)", text):
        return None
    url, fields, origin = any_form(answer)
    if "logout" in text:
        fields["logout"] = "yes"
    return url, fields, origin


def any_form(answer):
    """The same of a page that waits for its user."""
    text = answer.body.decode("utf-8", "replace")
    fields = {}
    for tag in re.findall(r"<input[^>]*>", text):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name:
            fields[unescape(name.group(1))] = unescape(value.group(1)) if value else ""
    action = unescape(re.search(r'<form[^>]*action="([^"]*)"', text).group(1))
    at = urllib.parse.urlsplit(answer.url)
    return urllib.parse.urljoin(answer.url, action), fields, "%s://%s" % (at.scheme, at.netloc)
