// Where the Worker begins. It waits for its turn itself: one Worker of all tabs has the core.
import init from './{{tidings_worker.js}}';

await init({ module_or_path: fetch('/{{tidings_worker_bg.wasm}}', { integrity: '{{tidings_worker_bg.wasm#}}' }) });
