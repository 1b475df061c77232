// Where the Worker begins. It waits for its turn itself: one Worker of all tabs has the core.
import init from './{{tidings_worker.js}}';

// For as long as it lives it has the lock by its own name, by which its page learns of its end.
navigator.locks.request(name, () => {
  postMessage('begun');
  return new Promise(() => {});
});
try {
  await init({ module_or_path: fetch('/{{tidings_worker_bg.wasm}}', { integrity: '{{tidings_worker_bg.wasm#}}' }) });
} catch (error) {
  console.error(error);
  close();
}
