// Keeps the shell at hand, so that the client opens without a network. It sees no message and no key: those go by the Worker's own link,
// and this passes everything through that is not a file of the client.
const files = {{*}};
const shell = ['/', '/manifest.webmanifest', ...files.map((name) => `/${name}`)];
const hashed = new Set(files.map((name) => `/${name}`));
// The list of files has their hashes in it: another build, another store.
const store = `tidings-${files.join()}`;

addEventListener('install', (event) => {
  event.waitUntil(caches.open(store).then((cache) => cache.addAll(shell)).then(() => skipWaiting()));
});

addEventListener('activate', (event) => {
  const old = (name) => name.startsWith('tidings-') && name !== store;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()));
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (hashed.has(url.pathname)) {
    // What has this name is this file.
    event.respondWith(caches.match(url.pathname).then((kept) => kept ?? fetch(request)));
  } else if (shell.includes(url.pathname)) {
    // The newest page, as long as somebody answers; from one who says nothing for a second, the one that is at hand, if one is.
    const kept = () => caches.match(url.pathname);
    const late = new Promise((done) => { setTimeout(done, 1000); }).then(kept);
    const newest = fetch(request);
    event.respondWith(Promise.race([newest.catch(kept), late.then((page) => page ?? newest)]));
  }
});
