// Where a page begins: it starts the Worker that has the client core, loads what draws, and registers what keeps the shell at hand when the
// server is away. No page script but this one starts another, and the policy lets it start those two only.
import init from './{{tidings_web.js}}';

const worker = '/{{worker.js}}';
const keeper = '/sw.js';
const only = (url) => {
  if (url === worker || url === keeper) return url;
  throw new TypeError('not a script of this program');
};
const policy = globalThis.trustedTypes?.createPolicy('tidings', { createScriptURL: only }) ?? { createScriptURL: only };

// A Worker that has ended, for whatever reason, is followed by another one; but not for ever.
const most = 3;
const within = 60_000;
let ends = [];
const begin = () => {
  const name = `tidings-${crypto.randomUUID()}`;
  const core = new Worker(policy.createScriptURL(worker), { type: 'module', name });
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    core.terminate();
    const now = Date.now();
    ends = [...ends.filter((then) => then > now - within), now];
    if (ends.length <= most) return begin();
    // Kept too, for a page that is not drawn yet.
    document.documentElement.dataset.coreFailed = '';
    dispatchEvent(new Event('tidings-core-failed'));
  };
  core.addEventListener('error', end);
  // It has a lock of its own by now: whoever gets that after it learns that it is no more.
  core.addEventListener('message', () => navigator.locks.request(name, end), { once: true });
};
begin();
await init({ module_or_path: fetch('/{{tidings_web_bg.wasm}}', { integrity: '{{tidings_web_bg.wasm#}}' }) });
// Where the certificate was accepted by hand browsers keep nothing at hand; the page works all the same.
navigator.serviceWorker?.register(policy.createScriptURL(keeper)).catch(() => {});
