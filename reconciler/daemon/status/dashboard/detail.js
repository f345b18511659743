// The details of the selected resource.
function drawDetail() {
  const each = byId.get(state.chosen);
  if (!each) return h('div', {}, heading(state.chosen, [h('p.empty', {}, 'There is no such resource, neither in the manifests nor on the cluster.')]),
    related('Used by', usedBy.get(state.chosen) || []));
  const sync = SYNC[each.sync], health = HEALTH[each.health];
  const steps = (state.status.plan?.steps || []).filter(step => step.subject === each.id || step.target === each.id);
  return [
    heading(each.id, [h('p', {}, syncOf(each), ' ', h(`span.chip.${health.tone}`, {}, icon(health.icon), each.health))]),
    each.message && h(`p.said.${sync.tone}`, {}, each.message),
    each.retry && h('p', {}, 'Retrying ', since(each.retry, 'in'), '.'),
    h('dl.facts', {}, [['State', each.state || 'none'], ['Node', each.node || 'none'], ['Namespace', each.namespace], ['Stack', each.stack || 'none'],
      ...(each.machine ? factsOf(each.machine) : [])].map(([name, text]) => [h('dt', {}, name), h('dd', {}, text)])),
    each.machine && partsOf(each.machine),
    each.drift.length > 0 && h('h3', {}, `${count(each.drift.length, 'field')} ${each.drift.length === 1 ? 'differs' : 'differ'} from the manifest`),
    each.drift.map(fieldOf),
    steps.length > 0 && h('h3', {}, 'Planned steps'),
    steps.length > 0 && h('ol', {}, steps.map(step => stepOf(step, {named: false}))),
    related('Uses', each.uses), related('Used by', usedBy.get(each.id) || []),
  ];
}

function heading(id, more) {
  return h('header', {}, h('div', {}, h('p.faint', {}, kindWord(id.split('/')[0])), h('h2', {}, nameOf(id)), more),
    h('button.close', {type: 'button', 'data-key': 'close', 'aria-label': 'Close', onclick: () => choose('')}, icon('cross')));
}

function factsOf({cpu, memory, console}) {
  return [['CPU', limited(cpu.count, cpu.max)], ['Memory', limited(memory.size, memory.max)], ['Console', console ? consoleOf(console) : 'none']];
}

const limited = (now, most) => now === most ? `${now}` : `${now}, at most ${most}`;

function consoleOf({type, listen, port}) {
  return port ? `${type} ${listen.includes(':') ? `[${listen}]` : listen}:${port}` : `${type} ${listen}`;
}

// The NICs of a machine with their addresses, then its disks.
function partsOf({nics, disks}) {
  return [nics.length > 0 && [h('h3', {}, 'NICs'), h('ul.parts', {}, nics.map(nic => h('li', {}, h('b', {}, nic.mac),
    h('span.faint', {}, [nic.type, nic.network || nic.source].filter(Boolean).join(' ')),
    nic.addresses.map(({address, source}) => h('span.address', {}, address, ' ', h('span.faint', {}, source))))))],
  disks.length > 0 && [h('h3', {}, 'Disks'), h('ul.parts', {}, disks.map(({target, bus, device, source}) => h('li', {}, h('b', {}, target),
    h('span.faint', {}, bus || device), byId.has(source) ? linkTo(source) : h('span', {}, source || 'empty'))))]];
}

const SIDE = {
  'declared changed': 'manifest changed', 'observed changed': 'changed on the cluster', 'both changed': 'manifest and cluster changed',
  'pending restart': 'applied', unknown: 'never in sync so far',
};

// What the daemon does about a field that differs.
function consequence(field) {
  if (field.mode === 'Ignore') return 'ignored';
  if (field.since === 'pending restart') return 'takes effect at the next start';
  if (field.note) return 'not reverted';
  if (field.since === 'declared changed' || field.since === 'both changed') return 'to be applied';
  return field.mode === 'Report' ? 'reported only' : field.since === 'unknown' ? 'to be applied' : 'to be reverted';
}

function fieldOf(field) {
  return h('div.field', {}, h('p.path', {}, field.path.join('.') || 'the whole resource'),
    h('dl', {}, h('dt', {}, 'desired'), h('dd.desired', {}, value(field.desired)), h('dt', {}, 'observed'), h('dd.observed', {}, value(field.observed))),
    h('p.how', {}, SIDE[field.since], ' · ', consequence(field), ' · first seen ', since(field.seen)),
    field.note && h('p.note', {}, field.note));
}

function related(title, ids) {
  const shown = ids.slice(0, state.open.has(title) ? 500 : 12), left = ids.length - shown.length;
  return ids.length > 0 && [h('h3', {}, `${title} ${ids.length > 1 ? ids.length : ''}`), h('ul.names', {}, shown.map(id => h('li', {}, linkTo(id),
    byId.has(id) ? h('span.faint', {}, ` ${kindWord(id.split('/')[0])}`) : h('span.bad.tone', {}, ' not found')))),
  left > 0 && !state.open.has(title) && h('button.more', {type: 'button', 'data-key': title, onclick: () => { state.open.add(title); show(); }}, `Show ${left} more`)];
}

function linkTo(id) {
  return h('button.link', {type: 'button', 'data-key': `to ${id}`, onclick: () => choose(id, {focus: true})}, nameOf(id));
}
