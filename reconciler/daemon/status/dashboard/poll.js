// Polls /status and draws: every two seconds, less often if answers are slow, not while the tab is hidden.
const INTERVAL = 2000, TIMEOUT = 10000;  // milliseconds
const IDLE_RATIO = 8;  // the pause is at least so many times as long as the answer took
let timer = 0, asking = false;

async function poll() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  const began = performance.now();
  try {
    const answer = await fetch('status?resources=all', {cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT)});
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    const status = await answer.json();
    state.skew = Date.parse(status.time) - Date.now();
    state.receivedAt = Date.now();
    state.failing = null;
    take(status);
  } catch (error) {
    state.failing ??= {since: new Date(now()).toISOString(), why: error instanceof TypeError ? 'no connection' : error.name === 'TimeoutError' ? 'timed out' : error.message};
  } finally {
    asking = false;
  }
  show();
  timer = setTimeout(poll, Math.max(INTERVAL, IDLE_RATIO * (performance.now() - began)));
}

function show() {
  const {status, failing} = state;
  document.body.classList.toggle('stale', Boolean(failing));
  draw('alerts', [failing, status?.unhealthy, status?.cluster.away, status?.problems, status?.bugs, status?.plan?.problems, [...state.open]], () => [
    failing && alert('bad', ['The daemon has not answered since ', clock(failing.since), ' (', since(failing.since, 'span'), ').'],
      [h('li', {}, `${failing.why[0].toUpperCase()}${failing.why.slice(1)}. ${status ? 'Below is the last known status. ' : ''}Retrying.`)], 'alert'),
    status && drawAlerts(status)]);
  if (!status) return;
  const {stack, commit, source, leader, holder, unhealthy, unready, counts, running, plan, succeeded, resync} = status;
  document.title = `${unhealthy.length || counts.Failed || counts.Blocked ? '● ' : ''}${visible(stack)} · reconcile`;
  draw('header', [failing, stack, commit, source, leader, holder, unhealthy, unready, counts, running.length, plan?.totals, succeeded, resync], () => drawHeader(status));
  drawResources(status);
  $('detail').hidden = !state.chosen;
  $('detail').className = SYNC[byId.get(state.chosen)?.sync]?.tone || 'bad';
  const {words, ...chosen} = byId.get(state.chosen) || {};
  draw('detail', [state.chosen, chosen, usedBy.get(state.chosen), plan, running.map(each => each.id), [...state.open]], () => state.chosen ? drawDetail() : []);
  draw('running', running, () => drawRunning(status));
  draw('plan', [plan, running.map(each => each.id), [...state.open]], () => drawPlan(status));
  draw('reconciliations', status.passes, () => drawReconciliations(status));
  draw('history', status.history, () => drawHistory(status));
  draw('footer', [status.watches, status.queued, status.started], () => [`Up since ${day(status.started)}. `, count(status.queued, 'trigger'), ' pending. ',
    Object.entries(status.watches).map(([name, seconds]) => `${name} watch active ${span(seconds)} ago`).join(', ')]);
  tick();
}

// Between two answers: advances relative times and the progress bars of running steps.
function tick() {
  for (const each of document.querySelectorAll('time[data-at]')) {
    const text = relative(each.dataset.at, each.dataset.form);
    if (each.textContent !== text) each.textContent = text;
  }
  for (const each of document.querySelectorAll('[data-began]')) {
    const typical = Number(each.dataset.typical);
    if (!each.dataset.typical) continue;
    const share = Math.max(0, now() - Date.parse(each.dataset.began)) / 1000 / Math.max(typical, 0.001);
    each.classList.toggle('late', share > 1.5);
    each.setAttribute('aria-valuenow', String(Math.min(99, Math.round(100 * share))));
    each.firstChild.style.setProperty('width', `${Math.min(97, 100 * share)}%`);
  }
  const fresh = $('fresh'), text = state.failing ? 'no answer' : `updated ${span((Date.now() - state.receivedAt) / 1000)} ago`;
  if (fresh && fresh.textContent !== text) fresh.textContent = text;
}

$('search').addEventListener('input', event => change({search: event.target.value}));
document.addEventListener('keydown', event => {
  const writing = event.target.matches?.('input, textarea');
  if (event.key === '/' && !writing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    $('search').focus();
  } else if (event.key === 'Escape' && state.chosen && !(writing && event.target.value)) {
    const key = state.chosen;
    choose('');
    [...document.querySelectorAll('#picture [data-key]')].find(each => each.dataset.key === key)?.focus();
  }
});
document.addEventListener('visibilitychange', poll);
addEventListener('online', poll);
addEventListener('hashchange', () => change({chosen: addressed()}));
addEventListener('resize', () => state.status && drawResources(state.status));
state.chosen = addressed();
setInterval(tick, 1000);
poll();
