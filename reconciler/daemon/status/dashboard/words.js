// The names, icons and colors of states, and the formats of times.
const SYNC = {  // the most urgent first
  Failed: {tone: 'bad', icon: 'cross', word: 'Failed'},
  Blocked: {tone: 'stuck', icon: 'stop', word: 'Blocked'},
  Held: {tone: 'held', icon: 'pause', word: 'Held'},
  OutOfSync: {tone: 'drift', icon: 'unequal', word: 'Out of sync'},
  PendingRestart: {tone: 'wait', icon: 'again', word: 'Pending restart'},
  Unmanaged: {tone: 'none', icon: 'ring', word: 'Not managed'},
  Synced: {tone: 'good', icon: 'check', word: 'Synced'},
};
const BY_URGENCY = Object.keys(SYNC);
const HEALTH = {
  Healthy: {tone: 'good', icon: 'dot'},
  Progressing: {tone: 'wait', icon: 'turn'},
  Degraded: {tone: 'bad', icon: 'triangle'},
  Missing: {tone: 'bad', icon: 'dashes'},
  Suspended: {tone: 'none', icon: 'square'},
};
const ACTION = {create: 'good', change: 'drift', delete: 'bad', run: 'wait', mark: 'none'};
const IMPACT = {none: 'none', live: 'wait', interrupt: 'drift', restart: 'bad', recreate: 'bad', data: 'bad'};
const OUTCOME = {done: 'good', failed: 'bad', interrupted: 'drift', unfinished: 'none'};
const ICONS = {
  check: 'M3.5 8.5l3 3 6-7', unequal: 'M3 6h10M3 10h10M10.5 3l-5 10', again: 'M12.7 8.3a4.7 4.7 0 1 1-1.4-3.6M12.8 2.2v3h-3',
  pause: 'M5.8 4v8M10.2 4v8', cross: 'M4.3 4.3l7.4 7.4M11.7 4.3l-7.4 7.4', ring: 'M8 3.6a4.4 4.4 0 1 0 0 8.8a4.4 4.4 0 0 0 0-8.8',
  stop: 'M8 2.8a5.2 5.2 0 1 0 0 10.4a5.2 5.2 0 0 0 0-10.4M4.4 11.6l7.2-7.2', lines: 'M4 6h8M4 10h8',
  dot: '*M8 4a4 4 0 1 0 0 8a4 4 0 0 0 0-8', turn: 'M8 3a5 5 0 1 1-5 5', triangle: '*M8 3l5.4 9.5H2.6z',
  dashes: 'M5 3.9a5 5 0 0 1 6 0M13 8a5 5 0 0 1-2 4M5 12.1A5 5 0 0 1 3 8', square: '*M4.5 4.5h7v7h-7z', alert: 'M8 3v6M8 12.4v.1',
};

// With a `title` it is an image for screen readers; without one it is decoration.
function icon(name, title) {
  const shape = ICONS[name];
  const made = svg('svg', {viewBox: '0 0 16 16', class: 'icon' + (shape[0] === '*' ? ' full' : '') + (name === 'turn' ? ' turning' : ''),
    ...(title ? {role: 'img', 'aria-label': title} : {'aria-hidden': 'true'})}, svg('path', {d: shape.replace('*', '')}));
  if (title) made.prepend(svg('title', {}, title));
  return made;
}

const COLUMNS = [
  {title: 'Pools', one: 'pool', kinds: ['VirtualMachinePool']},
  {title: 'Images', one: 'image', kinds: ['VirtualMachineDiskImage', 'VirtualMachineImage']},
  {title: 'Disks', one: 'disk', kinds: ['VirtualMachineDisk', 'VirtualMachineDiskSnapshot']},
  {title: 'Machines', one: 'machine', kinds: ['VirtualMachine', 'VirtualMachineSnapshot']},
  {title: 'Networks', one: 'network', kinds: ['VirtualMachineNetwork']},
];
const COLUMN = new Map(COLUMNS.flatMap((column, number) => column.kinds.map(kind => [kind, number])));
const MACHINES = 3;
const columnOf = kind => COLUMN.get(kind) ?? MACHINES;

function kindWord(kind) {
  return kind === 'VirtualMachine' ? 'Machine' : kind.replace(/^VirtualMachine/, '').replace(/(?<=[a-z])(?=[A-Z])/g, ' ');
}

const nameOf = id => id.split('/').slice(1).join('/');

function count(number, word) {
  return `${number.toLocaleString('en')} ${word}${number === 1 ? '' : 's'}`;
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  return `${Math.floor(whole / 86400)} days`;
}

const short = seconds => seconds === null ? '–' : seconds < 1 ? `${Math.round(seconds * 1000)} ms` : seconds < 60 ? `${seconds.toFixed(1)} s` : span(seconds);
const clock = at => new Date(at).toLocaleTimeString('en-GB');
const day = at => new Date(at).toLocaleString('en-GB', {day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit'});

// A relative time that `tick` keeps up to date.
function since(at, form = 'ago') {
  return h('time', {datetime: at, 'data-at': at, 'data-form': form, title: new Date(at).toString()}, relative(at, form));
}

function relative(at, form) {
  const seconds = (Date.parse(at) - now()) / 1000;
  if (form === 'span') return span(-seconds);
  if (form === 'in') return seconds <= 0 ? 'now' : `in ${span(seconds)}`;
  return `${span(-seconds)} ago`;
}

function value(given) {
  if (given === null || given === '') return 'nothing';
  return typeof given === 'string' ? given : JSON.stringify(given, null, typeof given === 'object' ? 1 : 0);
}
