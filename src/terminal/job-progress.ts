import { MultiBar, type SingleBar } from 'cli-progress'

const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

/** Bytes with at most four digits and a unit. */
function amount(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)}${units[unit]}`
}

const twoDigits = (value: number): string => String(value).padStart(2, '0')

function clock(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const rest = `${twoDigits(minutes)}:${twoDigits(Math.floor(seconds % 60))}`
  return hours > 0 ? `${hours}:${rest}` : rest
}

/** What is known of a job. */
export interface JobState {
  readonly files: number
  readonly totalFiles: number
  readonly bytes: number
  readonly totalBytes: number
  readonly seconds: number
}

/** The figures beside the bar: files, bytes, rate and the time left. */
export function jobText({ files, totalFiles, bytes, totalBytes, seconds }: JobState): string {
  const rate = seconds > 0 ? bytes / seconds : 0
  const left = Math.max(0, totalBytes - bytes)
  const time = left === 0 ? clock(seconds) : rate > 0 ? `${clock(left / rate)} ETA` : '--:-- ETA'
  return `${files}/${totalFiles} files  ${amount(bytes)}/${amount(totalBytes)}  ${amount(rate)}/s  ${time}`
}

/** A bar for a job of many files, on a terminal, with lines above it for what is done. */
export class JobProgress {
  readonly #bars: MultiBar
  readonly #bar: SingleBar
  readonly #now: () => number
  readonly #begun: number
  #files = 0
  #totalFiles = 0
  #bytes = 0
  #totalBytes = 0

  constructor(stream: NodeJS.WriteStream, now: () => number = () => performance.now()) {
    this.#now = now
    this.#begun = now()
    this.#bars = new MultiBar({
      stream,
      format: '{bar} {percentage}%  {figures}',
      barsize: 20,
      hideCursor: true,
      clearOnComplete: false,
      fps: 5,
    })
    this.#bar = this.#bars.create(1, 0, { figures: '' })
  }

  /** The job is larger by so much. */
  found(files: number, bytes: number): void {
    this.#totalFiles += files
    this.#totalBytes += bytes
    this.#draw()
  }

  moved(bytes: number): void {
    this.#bytes += bytes
    this.#draw()
  }

  /** A file is there. */
  done(line: string): void {
    this.#files++
    this.say(line)
    this.#draw()
  }

  /** A line above the bar. */
  say(line: string): void {
    this.#bars.log(`${line}\n`)
  }

  end(): void {
    this.#draw()
    this.#bars.update()
    this.#bars.stop()
  }

  #draw(): void {
    const state: JobState = {
      files: this.#files,
      // Files may be done before the count has come to them.
      totalFiles: Math.max(this.#totalFiles, this.#files),
      bytes: this.#bytes,
      totalBytes: Math.max(this.#totalBytes, this.#bytes),
      seconds: (this.#now() - this.#begun) / 1000,
    }
    this.#bar.setTotal(Math.max(state.totalBytes, 1))
    this.#bar.update(state.totalBytes === 0 ? 1 : state.bytes, { figures: jobText(state) })
  }
}
