// Draws the topology: a column for each sort of resource, buttons as nodes, lines for references.
function drawTopology(shown, folded) {
  const drawing = topology(shown, folded), columns = arrange(drawing);
  const used = columns.map((members, number) => ({members, number})).filter(each => each.members.length);
  const room = $('picture').clientWidth, free = (room - COLUMN_GAP * (used.length - 1)) / used.length;
  const width = Math.max(MIN_WIDTH, Math.min(250, Math.floor(free))), gap = Math.max(COLUMN_GAP, Math.min(110, (room - width * used.length) / Math.max(1, used.length - 1)));
  used.forEach((each, number) => { for (const node of each.members) node.x = Math.round(number * (width + gap)); });
  const rows = Math.max(...drawing.nodes.map(each => each.y), 0) + 1;
  const top = node => HEAD + node.y * (ROW + GAP), total = used.length * width + (used.length - 1) * gap;
  const holder = h('div.topology', {role: 'group', 'aria-label': 'Topology', style: {width: `${total}px`, height: `${HEAD + rows * (ROW + GAP)}px`}},
    svg('svg', {class: 'edges', 'aria-hidden': 'true', width: total, height: HEAD + rows * (ROW + GAP)},
      drawing.edges.map(edge => svg('path', {d: line(drawing.nodeById.get(edge.from), drawing.nodeById.get(edge.to), width, top),
        class: edge.missing ? 'missing' : '', 'data-from': edge.from, 'data-to': edge.to}))),
    used.map(({members, number}) => h('div.column', {},
      h('h3', {style: {left: `${members[0].x}px`}}, COLUMNS[number].title),
      h('ul', {'aria-label': COLUMNS[number].title}, members.sort((a, b) => a.y - b.y).map(node =>
        h('li', {style: {left: `${node.x}px`, top: `${top(node)}px`, width: `${width}px`, height: `${ROW}px`}}, nodeOf(node, width)))))));
  const highlight = id => {
    holder.classList.toggle('lit', Boolean(id));
    for (const path of holder.querySelectorAll('path[data-from]')) path.classList.toggle('hot', path.dataset.from === id || path.dataset.to === id);
  };
  const keyOf = event => event.target.closest?.('.node')?.dataset.key || (drawing.nodeById.has(state.chosen) ? state.chosen : '');
  for (const name of ['pointerover', 'focusin']) holder.addEventListener(name, event => highlight(keyOf(event)));
  for (const name of ['pointerleave', 'focusout']) holder.addEventListener(name, () => highlight(keyOf({target: holder})));
  holder.addEventListener('keydown', event => moveFocus(event, drawing, columns));
  highlight(keyOf({target: holder}));
  return h('div.scroll', {}, holder);
}

function line(a, b, width, top) {
  const [left, right] = a.column <= b.column ? [a, b] : [b, a];
  const x1 = left.x + width, y1 = top(left) + ROW / 2, x2 = right.x, y2 = top(right) + ROW / 2;
  if (left.column === right.column) return `M${x1} ${y1} C${x1 + 26} ${y1} ${x1 + 26} ${y2} ${x1} ${y2}`;
  const bend = Math.min(60, (x2 - x1) / 2);
  return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function nodeOf(node, width) {
  if (node.many) return groupOf(node);
  if (node.missing) return h('button.node.missing.bad', {type: 'button', 'data-key': node.id, tabindex: -1, title: `${node.id}: not found`, onclick: () => choose(node.id)},
    icon('dashes'), h('span.text', {}, h('span.name', {}, nameOf(node.id)), h('span.state', {}, 'not found')));
  const each = node.resource, sync = SYNC[each.sync], health = HEALTH[each.health];
  return h(`button.node.${sync.tone}${each.beside ? '.beside' : ''}`, {type: 'button', 'data-key': each.id, tabindex: -1,
    'aria-pressed': String(state.chosen === each.id), title: `${each.id} on ${each.node}: ${each.state || 'no state'}, ${sync.word}, ${each.health}`, onclick: () => choose(each.id)},
    icon(sync.icon), h('span.text', {}, h('span.name', {}, nameOf(each.id)),
      h('span.state', {}, [each.state || each.health, width > 170 && each.sync !== 'Synced' && sync.word, each.kind.endsWith('Snapshot') && 'snapshot'].filter(Boolean).join(' · '))),
    h(`span.health.${health.tone}`, {}, icon(health.icon, each.health)));
}

function groupOf(node) {
  const worst = BY_URGENCY.find(sync => node.counts[sync]), off = node.many - (node.counts.Synced || 0), column = COLUMNS[node.column];
  const [how] = node.scope.how, name = how === 'pool' ? `in ${nameOf(node.scope.of) || 'no pool'}` : how === 'node' ? `on ${node.scope.of || 'no node'}` : `all ${column.title.toLowerCase()}`;
  return h(`button.node.group.${SYNC[worst].tone}`, {type: 'button', 'data-key': node.id, tabindex: -1,
    title: BY_URGENCY.filter(sync => node.counts[sync]).map(sync => `${node.counts[sync]} ${SYNC[sync].word}`).join(', '),
    onclick: () => change({scope: node.scope, chosen: ''})},
    h('span.text', {}, h('span.name', {}, name),
      h('span.shares', {}, BY_URGENCY.filter(sync => node.counts[sync]).map(sync => h(`i.${SYNC[sync].tone}`, {style: {flex: String(node.counts[sync])}})))),
    h('span.text', {style: {'text-align': 'right'}}, h('span.many', {}, node.many.toLocaleString('en')),
      h('span.state', {}, off ? `${off.toLocaleString('en')} unsynced` : count(node.many, column.one).replace(/^\S+ /, ''))));
}

// Arrow keys move up and down in a column, left and right along a line. Tab reaches one node of the topology.
function moveFocus(event, drawing, columns) {
  const here = drawing.nodeById.get(event.target.closest('.node')?.dataset.key);
  if (!here || !event.key.startsWith('Arrow')) return;
  const column = columns[here.column], at = column.indexOf(here), left = event.key === 'ArrowLeft';
  let next;
  if (event.key === 'ArrowUp' || event.key === 'ArrowDown') next = column[at + (event.key === 'ArrowUp' ? -1 : 1)];
  else next = drawing.edges.filter(({from, to}) => from === here.id || to === here.id)
    .map(({from, to}) => drawing.nodeById.get(from === here.id ? to : from))
    .filter(other => left ? other.column < here.column : other.column > here.column)
    .sort((a, b) => Math.abs(a.column - here.column) - Math.abs(b.column - here.column) || a.y - b.y)[0];
  event.preventDefault();
  if (next) focusNode(next.id);
}

function focusNode(id) {
  for (const each of $('picture').querySelectorAll('.node')) {
    const chosen = each.dataset.key === id;
    each.tabIndex = chosen ? 0 : -1;
    if (chosen) each.focus();
  }
}
