// The header, running steps, the plan, reconciliations and the history.
function drawHeader(status) {
  const off = status.resources.total - (status.counts.Synced || 0) - (status.counts.Unmanaged || 0), bad = status.unhealthy.length;
  const parts = BY_URGENCY.filter(sync => status.counts[sync] && sync !== 'Synced' && sync !== 'Unmanaged').map(sync => `${status.counts[sync].toLocaleString('en')} ${SYNC[sync].word.toLowerCase()}`);
  const managed = status.resources.total - (status.counts.Unmanaged || 0), steps = status.plan?.totals;
  return [
    h('div.who', {}, h('span.brand', {}, icon('lines')), h('h1', {}, status.stack),
      status.leader ? h('span.chip.accent', {title: status.holder}, 'Leader') : h('span.chip.none', {}, status.holder ? `Standby; leader is ${status.holder}` : 'Standby'),
      state.failing ? h('span.chip.bad', {}, icon('alert'), 'No answer')
        : h(`span.chip.${bad ? 'bad' : 'good'}`, {}, icon(bad ? 'alert' : 'check'), bad ? 'Unhealthy' : 'Healthy'),
      status.unready.length > 0 && h('span.chip.drift', {title: status.unready.join('\n')}, 'Not ready'),
      status.commit && h('span.chip', {title: status.commit}, h('code', {}, status.commit.slice(0, 10))),
      h('span.source', {}, status.source), h('span.fresh', {id: 'fresh'})),
    h('p.verdict', {}, off === 0 ? (managed ? `All ${count(managed, 'resource')} are synced.`.replace('All 1 resource are', 'The only resource is') : 'No resource is declared yet.')
      : `${(status.counts.Synced || 0).toLocaleString('en')} of ${count(managed, 'resource')} are synced: ${parts.join(', ')}.`),
    h('p.next', {}, [steps && steps.steps ? `${count(steps.steps, 'step')} planned` : 'No changes planned', status.running.length ? `, ${status.running.length} running` : '',
      steps?.held ? `, ${steps.held} held` : '', steps?.waiting ? `, ${steps.waiting} waiting` : ''].join(''), '. ',
      status.succeeded ? ['Last success ', since(status.succeeded), '. '] : 'No success so far. ',
      status.resync && ['Next full sync ', since(status.resync, 'in'), '. '],
      status.counts.Unmanaged > 0 && `${count(status.counts.Unmanaged, 'resource')} not managed.`),
  ];
}

function drawAlerts(status) {
  const errors = status.problems.filter(each => each.severity === 'error').length;
  return [
    status.unhealthy.length > 0 && alert('bad', 'The daemon is not healthy', status.unhealthy.map(reason => h('li', {}, reason)), 'alert'),
    status.cluster.away && alert('bad', 'The cluster does not answer; what is shown is what was known', h('li', {}, status.cluster.away), 'alert'),
    status.problems.length > 0 && alert(errors ? 'bad' : 'drift', `${count(status.problems.length, 'problem')} in the manifests${errors ? '; what they concern is left as it is' : ''}`,
      listed('problems', status.problems.map(problemOf))),
    status.bugs.length > 0 && alert('bad', `${count(status.bugs.length, 'bug')} in reconcile; what meets one is left as it is`,
      listed('bugs', status.bugs.map(each => h('li', {}, `${each.where}: ${each.message}, ${each.count} times, last at ${each.last}`)))),
    status.plan?.problems.length > 0 && alert('bad', `Blocked by ${count(status.plan.problems.length, 'error')} of the plan`, listed('obstacles', status.plan.problems.map(problemOf))),
  ];
}

function problemOf(each) {
  return h('li', {}, h('div.clamp', {}, h('code.place', {}, [each.file, each.line, each.column].filter(Boolean).join(':')), ` ${each.severity}: `,
    each.path && [h('code', {}, each.path), ': '], each.message), each.remedy && h('div.faint.clamp', {}, each.remedy));
}

// The first few items, and a button that shows the others.
function listed(key, items, few = 5) {
  const shown = state.open.has(key) ? items : items.slice(0, few), left = items.length - shown.length;
  return [shown, left > 0 && h('li', {}, h('button.link', {type: 'button', 'data-key': key, onclick: () => { state.open.add(key); show(); }}, `Show ${left} more`))];
}

function alert(tone, title, items, role = 'status') {
  return h(`div.alert.${tone}`, {role}, h('h2', {}, icon('alert'), h('span', {}, title)), h('ul', {}, items));
}

function drawRunning(status) {
  return [h('h2', {id: 'running-title'}, 'Running now'), status.running.length
    ? h('ul', {}, status.running.map(step => h(`li.step.${ACTION[step.action]}`, {}, h('span.sign', {}, step.sign),
      h('div.what', {}, h('b', {}, step.operation), linkTo(step.subject)),
      h(`div.bar${step.typical === null ? '.unknown' : ''}`, {role: 'progressbar', 'aria-label': `${step.operation} ${nameOf(step.subject)}`, 'aria-valuemin': 0, 'aria-valuemax': 100,
        'data-began': step.began, 'data-typical': step.typical ?? ''}, h('i', {})),
      h('p.took', {}, since(step.began, 'span'), step.typical === null ? '' : ` of about ${span(step.typical)}`, step.node && ` on ${step.node}`))))
    : h('p.empty', {}, 'No step is running.')];
}

function stepOf(step, {named = true} = {}) {
  const running = state.status.running.some(each => each.id === step.id);
  return h(`li.step.${ACTION[step.action]}`, {}, h('span.sign', {'aria-label': step.action}, step.sign),
    h('div.what', {}, h('b', {}, step.operation), named && linkTo(step.subject),
      step.impact !== 'none' && h(`span.chip.${IMPACT[step.impact]}`, {}, step.impact), running && h('span.chip.accent', {}, 'running')),
    h('p.why', {}, h('span.clamp', {}, step.because)),
    step.held && h('p.stops.held', {}, `Held: needs --allow ${step.held}`), step.waits && h('p.stops.wait', {}, `Waiting: ${step.waits}`));
}

const GRAVE = /*dangers*/[];  // the most dangerous first
const FIRST_STEPS = 25;  // of a wave, before "more"

function drawPlan(status) {
  const plan = status.plan, title = h('h2', {id: 'plan-title'}, 'Plan');
  if (!plan) return [title, h('p.empty', {}, 'No plan yet.')];
  if (!plan.totals.steps) return [title, h('p.empty', {}, 'No changes to apply.'), notesOf(plan)];
  const actions = Object.entries(plan.totals.actions).filter(([, number]) => number);
  const waves = new Map();
  for (const step of plan.steps.filter(each => !each.grave)) waves.has(step.wave) ? waves.get(step.wave).push(step) : waves.set(step.wave, [step]);
  return [title,
    h('p.sums', {}, actions.map(([action, number]) => h(`span.chip.${ACTION[action]}`, {}, `${number} ${action}`)), plan.totals.held > 0 && h('span.chip.held', {}, icon('pause'), `${plan.totals.held} held`)),
    GRAVE.map(grave => [grave, plan.steps.filter(step => step.grave === grave)]).filter(([, steps]) => steps.length).map(([grave, steps]) =>
      h('div.grave', {}, h('h3', {}, icon('alert'), `${grave} (${steps.length})`), stepsOf(grave, steps))),
    [...waves].map(([wave, steps]) => [h('h3.wave', {}, `Wave ${wave}`), stepsOf(`wave ${wave}`, steps)]),
    plan.totals.steps > plan.totals.shown && h('p.empty', {}, `${count(plan.totals.steps - plan.totals.shown, 'more step')} without danger; reconcile --plan lists them.`),
    notesOf(plan)];
}

function stepsOf(key, steps) {
  const shown = state.open.has(key) ? steps : steps.slice(0, FIRST_STEPS), left = steps.length - shown.length;
  return [h('ol', {}, shown.map(step => stepOf(step))), left > 0 && h('button.more', {type: 'button', 'data-key': key, onclick: () => { state.open.add(key); show(); }}, `Show ${left} more`)];
}

function notesOf(plan) {
  return plan.notes.length > 0 && [h('h3.wave', {}, 'Notes'), h('ul', {}, plan.notes.slice(0, 50).map(note => h('li.step', {}, h('span.sign', {}, '·'),
    h('div.what', {}, linkTo(note.resource)), h('p.why', {}, note.text))))];
}

function drawReconciliations(status) {
  const title = h('h2', {id: 'reconciliations-title'}, 'Reconciliations'), longest = Math.max(...status.passes.map(each => each.seconds), 0.001);
  const tone = each => each.error || each.results.failed ? 'bad' : each.full ? 'accent' : 'good';
  if (!status.passes.length) return [title, h('p.empty', {}, 'No reconciliation has finished yet.')];
  return [title, h('div.beats', {'aria-hidden': 'true'}, status.passes.slice(0, 60).reverse().map(each =>
    h(`i.${tone(each)}`, {style: {height: `${Math.max(6, 100 * Math.sqrt(each.seconds / longest))}%`}, title: `reconciliation ${each.number}: ${short(each.seconds)}`}))),
  h('div.scroll', {}, h('table.runs', {}, h('caption.unseen', {}, 'The newest reconciliations'),
    h('thead', {}, h('tr', {}, ['No.', 'Started', 'Took', 'Triggered by', 'Planned', 'Result'].map(word => h('th', {scope: 'col'}, word)))),
    h('tbody', {}, status.passes.slice(0, 8).map(each => h('tr', {}, h('th', {scope: 'row'}, each.number, each.full && h('span.faint', {}, ' full sync')),
      h('td', {}, clock(each.began)), h('td', {}, short(each.seconds)), h('td', {}, each.causes.join(', ') || '–'),
      h('td', {}, each.planned ? count(each.planned, 'step') : 'no steps'), h(`td${each.error ? '.bad.tone' : ''}`, {}, each.error || resultsOf(each.results) || '–'))))))];
}

const resultsOf = results => Object.entries(results).map(([result, number]) => `${number} ${result}`).join(', ');

function drawHistory(status) {
  const title = h('h2', {id: 'history-title'}, 'History');
  if (!status.history.length) return [title, h('p.empty', {}, 'Nothing has been applied yet.')];
  return [title, h('div.scroll', {}, h('table.runs', {}, h('caption.unseen', {}, 'The newest runs'),
    h('thead', {}, h('tr', {}, ['Started', 'Who', 'What', 'Commit', 'Took', 'Result'].map(word => h('th', {scope: 'col'}, word)))),
    h('tbody', {}, status.history.map(run => h('tr', {}, h('th', {scope: 'row'}, run.began ? day(run.began) : '–'), h('td', {}, run.who || '–'), h('td', {}, `${run.verb} ${run.plan}`),
      h('td', {}, run.commit ? h('code', {}, run.commit.slice(0, 10), run.dirty && ' +') : '–'), h('td', {}, short(run.seconds)),
      h('td', {}, h(`span.chip.${OUTCOME[run.outcome] || 'none'}`, {}, run.outcome), ' ', resultsOf(run.totals)))))))];
}
