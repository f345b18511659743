// The last status, and what the reader has selected of it.
const MAX_NODES = 300;  // more resources are drawn in groups
const ROWS = 100;  // of the list, at first and added with each "more"
const narrow = matchMedia('(max-width: 40rem)');
const state = {
  status: null,
  skew: 0,  // milliseconds that the daemon's clock is ahead of ours
  failing: null,  // {since, why} while the daemon does not answer
  receivedAt: 0,
  filter: '', search: '', scope: null, chosen: '', view: narrow.matches ? 'list' : 'topology', rows: ROWS,
  open: new Set(),
};
let resources = [], byId = new Map(), usedBy = new Map();

const now = () => Date.now() + state.skew;

function take(status) {
  state.status = status;
  resources = status.resources.items;
  byId = new Map(resources.map(each => [each.id, each]));
  usedBy = new Map();
  for (const each of resources)
    for (const id of each.uses) usedBy.has(id) ? usedBy.get(id).push(each.id) : usedBy.set(id, [each.id]);
}

const placesOf = machine => (machine?.nics || []).flatMap(nic => [nic.mac, ...nic.addresses.map(each => each.address)]).join(' ');

function words(each) {
  return each.words ??= `${each.id} ${kindWord(each.kind)} ${each.node} ${each.state} ${each.sync} ${each.health} ${each.message} ${placesOf(each.machine)}`.toLowerCase();
}

function matching() {
  const wanted = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  return resources.filter(each => (!state.filter || each.sync === state.filter) && (!state.scope || inScope(each, state.scope))
    && wanted.every(word => words(each).includes(word)));
}

const narrowed = () => Boolean(state.filter || state.search.trim() || state.scope);

const byName = new Intl.Collator('en', {numeric: true}).compare;

function byUrgency(a, b) {
  return BY_URGENCY.indexOf(a.sync) - BY_URGENCY.indexOf(b.sync) || (a.health === 'Healthy') - (b.health === 'Healthy') || byName(a.id, b.id);
}

function change(given) {
  Object.assign(state, given);
  if ('filter' in given || 'search' in given || 'scope' in given) state.rows = ROWS;
  show();
}

// The resource id in the fragment of the URL; it may be malformed.
function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
}

function choose(id, {focus = false} = {}) {
  change({chosen: id});
  history.replaceState(null, '', id ? `#${encodeURIComponent(id)}` : location.pathname + location.search);
  if (id && (focus || matchMedia('(max-width: 62rem)').matches)) {
    $('detail').scrollIntoView({block: 'start'});
    $('detail').focus({preventScroll: true});
  }
}
