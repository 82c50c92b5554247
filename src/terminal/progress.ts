import { visible } from './names.ts'

const units = ['', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** Divides by 1024 until the value is below a bound; so many times. */
function scale(value: number, bound: number, times = 0): [value: number, times: number] {
  while (value >= bound && times < units.length - 1) {
    value = Math.floor((value + 512) / 1024)
    times++
  }
  return [value, times]
}

/** Bytes in six columns: `1234KB`. */
function sizeText(bytes: number): string {
  const [value, times] = scale(bytes, 10_000)
  return `${String(value).padStart(4)}${units[times]!.padEnd(2)}`
}

/** Bytes a second in seven columns: `123.4MB`. */
function rateText(bytes: number): string {
  let [hundredths, times] = scale(Math.floor(bytes * 100), 100_000)
  if (times === 0) [hundredths, times] = [Math.floor((hundredths + 512) / 1024), 1]
  const whole = Math.floor((hundredths + 5) / 100)
  return `${String(whole).padStart(3)}.${Math.floor((hundredths + 5) / 10) % 10}${units[times]}`
}

function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const text = `${two(minutes)}:${two(Math.floor(seconds % 60))}`
  return hours > 0 ? `${hours}:${text}` : `  ${text}`
}

/** What a meter shows. */
export interface MeterState {
  readonly name: string
  readonly bytes: number
  readonly size: number
  /** Bytes a second; 0 while unknown. */
  readonly rate: number
  /** Seconds since the file began. */
  readonly elapsed: number
  /** Seconds without a byte. */
  readonly stalled: number
}

/** Seconds without a byte after which a meter says so. */
const stallTime = 5
/** Columns of everything but the name. */
const figuresWidth = 36

/** A line of a meter: name, percent, size, rate and time left, as scp and sftp show them. */
export function meterLine({ name, bytes, size, rate, elapsed, stalled }: MeterState, columns: number): string {
  const width = Math.max(0, columns - figuresWidth)
  const shown = visible(name)
  const label = shown.length > width ? shown.slice(0, width) : shown.padEnd(width)
  const left = Math.max(0, size - bytes)
  const percent = left === 0 ? 100 : Math.min(99, Math.floor((bytes / size) * 100))
  let time: string
  if (left > 0 && stalled >= stallTime) time = '- stalled -'
  else if (left > 0 && rate === 0) time = '  --:-- ETA'
  else time = left > 0 ? `${clock(left / rate)} ETA` : `${clock(elapsed)}    `
  const line = `${label} ${String(percent).padStart(3)}% ${sizeText(bytes)} ${rateText(rate)}/s ${time}`
  return line.slice(0, Math.max(0, columns - 1))
}

interface Running {
  readonly name: string
  readonly size: number
  readonly since: number
  bytes: number
  rate: number
  last: { readonly at: number; readonly bytes: number }
  moved: number
}

/** How much of the old rate stays with each measurement. */
const ageFactor = 0.9
const updateMilliseconds = 1000

/** A terminal's line, and its width. */
export interface MeterOutput {
  write(text: string): void
  readonly columns: number
}

/**
 * The meter of files that move at once: one line that shows the oldest of them, and a line that stays for each that is
 * done.
 */
export class ProgressMeter {
  readonly #output: MeterOutput
  readonly #now: () => number
  readonly #running = new Map<string, Running>()
  #timer: ReturnType<typeof setInterval> | undefined
  #line: 'shown' | 'none' = 'none'

  constructor(output: MeterOutput, now: () => number = () => performance.now()) {
    this.#output = output
    this.#now = now
  }

  start(key: string, name: string, size: number, bytes = 0): void {
    const now = this.#now()
    this.#running.set(key, { name, size, since: now, bytes, rate: 0, last: { at: now, bytes }, moved: now })
    this.#timer ??= setInterval(() => this.#draw(), updateMilliseconds)
    this.#timer.unref?.()
    if (this.#running.size === 1) this.#draw()
  }

  progress(key: string, bytes: number): void {
    const file = this.#running.get(key)
    if (!file) return
    if (bytes > file.bytes) file.moved = this.#now()
    file.bytes = bytes
  }

  /** The file's last line, with its mean rate. */
  done(key: string, bytes: number): void {
    const file = this.#running.get(key)
    if (!file) return
    const elapsed = (this.#now() - file.since) / 1000
    this.#running.delete(key)
    const rate = elapsed > 0 ? bytes / elapsed : bytes
    this.#show(
      meterLine({ name: file.name, bytes, size: bytes, rate, elapsed, stalled: 0 }, this.#output.columns),
      true,
    )
    if (this.#running.size === 0) this.stop()
    else this.#draw()
  }

  /** The file did not get through: the line as it stands stays. */
  failed(key: string): void {
    if (!this.#running.delete(key)) return
    this.clear()
    if (this.#running.size === 0) this.stop()
  }

  /** Ends the line, so that other text begins on one of its own. */
  clear(): void {
    if (this.#line === 'shown') this.#output.write('\n')
    this.#line = 'none'
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#running.clear()
    this.clear()
  }

  #draw(): void {
    const [file] = this.#running.values()
    if (!file) return
    const now = this.#now()
    const seconds = (now - file.last.at) / 1000
    if (seconds > 0) {
      const current = (file.bytes - file.last.bytes) / seconds
      file.rate = file.rate === 0 ? current : file.rate * ageFactor + current * (1 - ageFactor)
      file.last = { at: now, bytes: file.bytes }
    }
    const state = { ...file, elapsed: (now - file.since) / 1000, stalled: (now - file.moved) / 1000 }
    this.#show(meterLine(state, this.#output.columns), false)
  }

  #show(line: string, final: boolean): void {
    this.#output.write(`\r${line}${final ? '\n' : ''}`)
    this.#line = final ? 'none' : 'shown'
  }
}
