// Everything about the resource that was chosen.
function drawDetail() {
  const each = byId.get(state.chosen);
  if (!each) return h('div', {}, heading(state.chosen, [h('p.empty', {}, 'There is no such resource: it is declared nowhere, and not on the cluster.')]),
    related('Used by', usedBy.get(state.chosen) || []));
  const sync = SYNC[each.sync], health = HEALTH[each.health];
  const steps = (state.status.plan?.steps || []).filter(step => step.subject === each.id || step.target === each.id);
  return [
    heading(each.id, [h('p', {}, syncOf(each), ' ', h(`span.chip.${health.tone}`, {}, icon(health.icon), each.health))]),
    each.message && h(`p.said.${sync.tone}`, {}, each.message),
    each.retry && h('p', {}, 'Tried again ', since(each.retry, 'in'), '.'),
    h('dl.facts', {}, [['State', each.state || 'none'], ['Node', each.node || 'none'], ['Namespace', each.namespace], ['Stack', each.stack || 'nobody’s']]
      .map(([name, text]) => [h('dt', {}, name), h('dd', {}, text)])),
    each.drift.length > 0 && h('h3', {}, `${count(each.drift.length, 'field')} not as declared`),
    each.drift.map(fieldOf),
    steps.length > 0 && h('h3', {}, 'What is left to do'),
    steps.length > 0 && h('ol', {}, steps.map(step => stepOf(step, {named: false}))),
    related('Uses', each.uses), related('Used by', usedBy.get(each.id) || []),
  ];
}

function heading(id, more) {
  return h('header', {}, h('div', {}, h('p.faint', {}, kindWord(id.split('/')[0])), h('h2', {}, nameOf(id)), more),
    h('button.close', {type: 'button', 'data-key': 'close', 'aria-label': 'Close', onclick: () => choose('')}, icon('cross')));
}

const MODE = {Heal: 'is put right', Report: 'is only reported', Ignore: 'is ignored'};

function fieldOf(field) {
  return h('div.field', {}, h('p.path', {}, field.path.join('.') || 'the resource itself'),
    h('dl', {}, h('dt', {}, 'desired'), h('dd.desired', {}, value(field.desired)), h('dt', {}, 'observed'), h('dd.observed', {}, value(field.observed))),
    h('p.how', {}, field.since === 'unknown' ? 'never seen to be the same' : field.since, ' · ', MODE[field.mode], ' · seen ', since(field.seen)),
    field.note && h('p.note', {}, field.note));
}

function related(title, ids) {
  const shown = ids.slice(0, state.open.has(title) ? 500 : 12), left = ids.length - shown.length;
  return ids.length > 0 && [h('h3', {}, `${title} ${ids.length > 1 ? ids.length : ''}`), h('ul.names', {}, shown.map(id => h('li', {}, linkTo(id),
    byId.has(id) ? h('span.faint', {}, ` ${kindWord(id.split('/')[0])}`) : h('span.bad.tone', {}, ' not there')))),
  left > 0 && !state.open.has(title) && h('button.more', {type: 'button', 'data-key': title, onclick: () => { state.open.add(title); show(); }}, `Show ${left} more`)];
}

function linkTo(id) {
  return h('button.link', {type: 'button', 'data-key': `to ${id}`, onclick: () => choose(id, {focus: true})}, nameOf(id));
}
