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

const core = new Worker(policy.createScriptURL(worker), { type: 'module', name: 'tidings' });
core.addEventListener('error', () => {
  // Kept too, for a page that is not drawn yet.
  document.documentElement.dataset.coreFailed = '';
  dispatchEvent(new Event('tidings-core-failed'));
});
await init({ module_or_path: fetch('/{{tidings_web_bg.wasm}}', { integrity: '{{tidings_web_bg.wasm#}}' }) });
// Where the certificate was accepted by hand browsers keep nothing at hand; the page works all the same.
navigator.serviceWorker?.register(policy.createScriptURL(keeper)).catch(() => {});
