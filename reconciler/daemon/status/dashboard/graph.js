// Lays out resources: nodes in columns, and the lines between them. Does not touch the page.
const ROW = 46, GAP = 10, HEAD = 28, MIN_WIDTH = 112, COLUMN_GAP = 26;  // pixels
const MAX_COLUMN = 40;  // nodes of a column, if resources are drawn in groups

// The groups a resource can be drawn in, the smallest first; the last holds all.
const FOLDS = [
  each => columnOf(each.kind) === 1 || columnOf(each.kind) === 2 ? ['pool', each.uses.find(id => id.startsWith('VirtualMachinePool/')) || ''] : ['node', each.node],
  each => ['node', each.node],
  each => ['all', ''],
];

function inScope(each, scope) {
  return columnOf(each.kind) === scope.column && FOLDS[scope.fold](each)[1] === scope.of;
}

function scopeWords(scope) {
  const column = COLUMNS[scope.column], [how] = scope.how;
  return `${column.title.toLowerCase()}${how === 'pool' ? ` in ${nameOf(scope.of) || 'no pool'}` : how === 'node' ? ` on ${scope.of || 'no node'}` : ''}`;
}

// The matching resources, and with `beside` those that they use or are used by.
function neighbourhood(chosen) {
  const found = new Map(chosen.map(each => [each.id, {...each, beside: false}]));
  for (const each of chosen)
    for (const id of [...each.uses, ...usedBy.get(each.id) || []])
      if (byId.has(id) && !found.has(id)) found.set(id, {...byId.get(id), beside: true});
  return [...found.values()];
}

// Nodes: {id, column, resource} or {id, column, many, counts, scope}; `place` maps a resource to its node.
function nodesOf(shown, folded) {
  const columns = COLUMNS.map(() => []), nodes = [], place = new Map();
  for (const each of shown) columns[columnOf(each.kind)].push(each);
  columns.forEach((members, column) => {
    if (!folded || members.length <= MAX_COLUMN) {
      for (const each of members) {
        nodes.push({id: each.id, column, resource: each});
        place.set(each.id, each.id);
      }
      return;
    }
    let fold = 0, groups;
    do groups = grouped(members, FOLDS[fold]); while (groups.size > MAX_COLUMN && ++fold < FOLDS.length);
    for (const [of, {how, each}] of groups) {
      const id = `group ${column} ${how} ${of}`, counts = {};
      for (const one of each) counts[one.sync] = (counts[one.sync] || 0) + 1;
      nodes.push({id, column, many: each.length, counts, scope: {column, fold, of, how: [how]}});
      for (const one of each) place.set(one.id, id);
    }
  });
  return {nodes, place};
}

function grouped(members, fold) {
  const groups = new Map();
  for (const each of members) {
    const [how, of] = fold(each);
    groups.has(of) ? groups.get(of).each.push(each) : groups.set(of, {how, each: [each]});
  }
  return groups;
}

const isPart = node => Boolean(node.resource?.kind.endsWith('Snapshot'));

function topology(shown, folded) {
  const {nodes, place} = nodesOf(shown, folded), nodeById = new Map(nodes.map(each => [each.id, each])), edges = new Map();
  for (const each of shown) {
    for (const target of each.uses) {
      if (!byId.has(target) && !folded && !nodeById.has(target)) {
        const missing = {id: target, column: columnOf(target.split('/')[0]), missing: true};
        nodes.push(missing);
        nodeById.set(target, missing);
        place.set(target, target);
      }
      const from = place.get(each.id), to = place.get(target);
      if (to !== undefined && from !== to) edges.set(`${from} ${to}`, {from, to, missing: Boolean(nodeById.get(to).missing)});
    }
  }
  return {nodes, edges: [...edges.values()], nodeById};
}

// Assigns rows: disks in the order of their machines, everything else at the height of what it belongs to.
function arrange({nodes, edges}) {
  const beside = new Map(nodes.map(each => [each.id, []]));
  for (const {from, to} of edges) {
    beside.get(from).push(to);
    beside.get(to).push(from);
  }
  const nodeById = new Map(nodes.map(each => [each.id, each])), columns = COLUMNS.map(() => []);
  for (const each of nodes) columns[each.column].push(each);
  const named = column => column.sort((a, b) => byName(a.id, b.id));
  const heights = (each, column) => beside.get(each.id).map(id => nodeById.get(id)).filter(other => other.column === column && other.y !== undefined).map(other => other.y);
  const mean = numbers => numbers.length ? numbers.reduce((a, b) => a + b, 0) / numbers.length : undefined;
  const lay = (column, wish) => {
    const wished = named(columns[column]).map(each => [each, wish(each)]);
    const last = Math.max(0, ...wished.map(([, at]) => at ?? 0));
    wished.sort((a, b) => (a[1] ?? last + 1) - (b[1] ?? last + 1));
    let y = 0;
    for (const [each, at] of wished) {
      each.y = Math.max(y, at ?? y);
      y = each.y + 1;
    }
  };
  named(columns[MACHINES]).forEach((each, number) => { each.y = number; });
  lay(2, each => mean(heights(each, MACHINES)));
  let y = 0;
  for (const each of columns[2]) each.y = undefined;
  for (const machine of columns[MACHINES])
    for (const id of beside.get(machine.id)) {
      const disk = nodeById.get(id);
      if (disk.column === 2 && disk.y === undefined) disk.y = y++;
    }
  for (const each of named(columns[2])) each.y ??= y++;
  const ranks = new Map(columns[2].map(each => [each.id, each.y]));
  const partOf = each => beside.get(each.id).map(id => nodeById.get(id)).find(other => other.column === each.column && !isPart(other));
  const beneath = (each, wish) => wish(each) ?? (partOf(each) && wish(partOf(each)) !== undefined ? wish(partOf(each)) + .5 : undefined);
  for (const each of columns[MACHINES]) each.y = undefined;
  lay(MACHINES, each => beneath(each, one => mean(beside.get(one.id).map(id => ranks.get(id)).filter(at => at !== undefined))));
  lay(4, each => mean(heights(each, MACHINES)));
  lay(1, each => mean(heights(each, 2)));
  lay(0, each => mean([...heights(each, 1), ...heights(each, 2)]));
  return columns;
}
