// The filters, and the resources as a list.
function drawFilters(status) {
  const total = status.resources.total;
  const one = (key, word, number, tone, mark) => h(`button.filter${tone ? `.${tone}` : ''}`, {type: 'button', 'data-key': `filter ${key}`,
    'aria-pressed': String(state.filter === key), onclick: () => change({filter: state.filter === key ? '' : key})},
    mark && icon(mark), word, h('b', {}, number.toLocaleString('en')));
  return [one('', 'All', total), BY_URGENCY.filter(sync => status.counts[sync] || sync === state.filter)
    .map(sync => one(sync, SYNC[sync].word, status.counts[sync], SYNC[sync].tone, SYNC[sync].icon))];
}

function drawViews() {
  return ['topology', 'list'].map(view => h('button', {type: 'button', 'data-key': view, 'aria-pressed': String(state.view === view),
    onclick: () => change({view})}, view[0].toUpperCase() + view.slice(1)));
}

function drawFound(found, folded) {
  const clear = word => h('button.link', {type: 'button', 'data-key': 'clear', onclick: () => {
    $('search').value = '';
    change({filter: '', search: '', scope: null});
  }}, word);
  if (!narrowed()) return folded ? 'Large columns are grouped; click a group to see its resources.' : '';
  return [`${count(found.length, 'resource')}${state.scope ? `: ${scopeWords(state.scope)}` : ' found'}. ${folded ? 'Too many to draw; this is a list. ' : ''}`, clear('Show all')];
}

function drawList(found) {
  const rows = [...found].sort(byUrgency).slice(0, state.rows), left = found.length - rows.length;
  return [h('div.scroll', {}, h('table.list', {}, h('caption.unseen', {}, 'Resources, the most urgent first'),
    h('thead', {}, h('tr', {}, ['Resource', 'State', 'Sync', 'Health', 'Node', 'Details'].map(word => h('th', {scope: 'col'}, word)))),
    h('tbody', {}, rows.map(each => h(`tr${each.id === state.chosen ? '.chosen' : ''}`, {},
      h('th', {scope: 'row'}, h('button.link', {type: 'button', 'data-key': each.id, onclick: () => choose(each.id)}, nameOf(each.id)),
        h('span.kind', {}, kindWord(each.kind))),
      h('td', {}, each.state), h('td.stand', {}, syncOf(each)), h('td', {}, each.health), h('td', {}, each.node),
      h('td.message', {}, h('span.clamp', {}, each.message || each.drift.map(field => field.path.join('.')).join(', ')))))))),
    left > 0 && h('button.more', {type: 'button', 'data-key': 'more', onclick: () => change({rows: state.rows + ROWS})},
      `Show ${Math.min(ROWS, left)} more of ${left.toLocaleString('en')}`),
    !rows.length && h('p.empty', {}, 'No resource matches.')];
}

function syncOf(each) {
  const sync = SYNC[each.sync];
  return h(`span.sync.${sync.tone}`, {}, icon(sync.icon), sync.word);
}

function drawResources(status) {
  const found = matching(), shown = narrowed() && found.length <= MAX_NODES ? neighbourhood(found) : found;
  const folded = shown.length > MAX_NODES, listed = state.view === 'list' || folded && narrowed();
  draw('filters', [status.counts, state.filter], () => drawFilters(status));
  draw('views', state.view, drawViews);
  draw('found', [found.length, state.filter, state.search, state.scope, folded && state.view], () => drawFound(found, folded && state.view === 'topology'));
  const seen = listed || !shown.length;
  const from = seen ? [[...found].sort(byUrgency).slice(0, state.rows), found.length] : shown.map(({words, ...each}) => each);
  draw('picture', [from, state.view, state.chosen, seen || $('picture').clientWidth], () => seen ? drawList(found) : drawTopology(shown, folded));
  const nodes = $('picture').querySelectorAll('.node');
  if (nodes.length && ![...nodes].some(each => each.tabIndex === 0)) ([...nodes].find(each => each === document.activeElement) || nodes[0]).tabIndex = 0;
}
