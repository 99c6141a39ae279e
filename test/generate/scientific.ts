/**
 * Shapes of published scientific workflows: what schedulers are compared on.
 *
 * The five of Bharathi, Chervenak, Deelman, Mehta, Su and Vahi ("Characterization of Scientific
 * Workflows", WORKS 2008), of any width; tasks take about what Juve et al. measured on average
 * ("Characterizing and Profiling Scientific Workflows", FGCS 2013). They differ in what decides
 * their length: Montage by a bottleneck in the middle, Epigenomics by parallel pipelines,
 * CyberShake by many cheap tasks beside dear ones, Inspiral by groups that join twice, Sipht by one
 * task among many.
 */

/** The tasks of a workflow, by id, and which come after which. */
export interface ScientificGraph {
  name: string;
  tasks: { id: string; ms: number }[];
  edges: { from: string; to: string }[];
}

/** Every shape, `width` tasks wide at its widest or somewhat more. */
export function scientificGraphs(width: number): ScientificGraph[] {
  return [montage(width), epigenomics(width), cyberShake(width), inspiral(width), sipht(width)];
}

class Sketch {
  readonly tasks: ScientificGraph["tasks"] = [];
  readonly edges: ScientificGraph["edges"] = [];

  /** A task after all of these; its id. */
  task(id: string, ms: number, after: readonly string[] = []): string {
    this.tasks.push({ id, ms });
    for (const from of after) this.edges.push({ from, to: id });
    return id;
  }

  done(name: string): ScientificGraph {
    return { name, tasks: this.tasks, edges: this.edges };
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Images projected, their overlaps fitted, one model of the background for all, one mosaic. */
function montage(width: number): ScientificGraph {
  const g = new Sketch();
  const projected = upTo(width).map((i) => g.task(`project_${i}`, 1730));
  const fits = projected.flatMap((image, i) =>
    [1, 2].flatMap((step) => {
      const other = projected[i + step];
      return other === undefined ? [] : [g.task(`diff_fit_${i}_${step}`, 660, [image, other])];
    }),
  );
  const model = g.task("bg_model", 384_490, [g.task("concat_fit", 143_260, fits)]);
  const corrected = projected.map((image, i) => g.task(`background_${i}`, 1720, [image, model]));
  const mosaic = g.task("add", 282_370, [g.task("img_table", 2780, corrected)]);
  g.task("jpeg", 640, [g.task("shrink", 66_100, [mosaic])]);
  return g.done("montage");
}

/** Lanes of a sequencer: each split into pipelines of four, merged, and all together once more. */
function epigenomics(width: number): ScientificGraph {
  const g = new Sketch();
  const lanes = upTo(Math.max(2, Math.round(width / 12))).map((lane) => {
    const split = g.task(`split_${lane}`, 34_340);
    // Lanes differ in what was read from them.
    const parts = upTo(4 + ((lane * 7) % 17)).map((i) => {
      const filtered = g.task(`filter_${lane}_${i}`, 2470, [split]);
      const converted = g.task(`sol2sanger_${lane}_${i}`, 480, [filtered]);
      const packed = g.task(`fastq2bfq_${lane}_${i}`, 1400, [converted]);
      return g.task(`map_${lane}_${i}`, 201_890, [packed]);
    });
    return g.task(`map_merge_${lane}`, 11_010, parts);
  });
  const merged = g.task("map_merge", 11_010, lanes);
  g.task("pileup", 55_950, [g.task("maq_index", 43_570, [merged])]);
  return g.done("epigenomics");
}

/** Pairs of strain tensors, seismograms of each, a peak of each seismogram, two archives. */
function cyberShake(width: number): ScientificGraph {
  const g = new Sketch();
  const seismograms = upTo(Math.max(2, Math.round(width / 10))).flatMap((site) => {
    const tensors = [0, 1].map((i) => g.task(`extract_sgt_${site}_${i}`, 110_580));
    return upTo(10).map((i) => g.task(`synthesis_${site}_${i}`, 79_470, [tensors[i % 2] ?? ""]));
  });
  const peaks = seismograms.map((one, i) => g.task(`peak_value_${i}`, 550, [one]));
  g.task("zip_seismograms", 265_730, seismograms);
  g.task("zip_peaks", 195_800, peaks);
  return g.done("cybershake");
}

/** Gravitational waves: groups of template banks, matched, compared, matched again, compared. */
function inspiral(width: number): ScientificGraph {
  const g = new Sketch();
  upTo(Math.max(2, Math.round(width / 8))).forEach((group) => {
    const first = upTo(5 + ((group * 5) % 7)).map((i) =>
      g.task(`inspiral_${group}_${i}`, 460_210, [g.task(`tmplt_bank_${group}_${i}`, 18_140)]),
    );
    const thinca = g.task(`thinca_${group}`, 5370, first);
    const second = first.map((_, i) =>
      g.task(`inspiral2_${group}_${i}`, 460_210, [
        g.task(`trig_bank_${group}_${i}`, 5110, [thinca]),
      ]),
    );
    g.task(`thinca2_${group}`, 5370, second);
  });
  return g.done("inspiral");
}

/** Searches for small RNAs: one long search among many short ones, and what is annotated with all. */
function sipht(width: number): ScientificGraph {
  const g = new Sketch();
  const patser = upTo(width).map((i) => g.task(`patser_${i}`, 960));
  const concat = g.task("patser_concat", 30, patser);
  const finders = [
    ...[g.task("transterm", 32_410), g.task("findterm", 594_940), g.task("rna_motif", 25_690)],
    g.task("blast", 3_311_120),
  ];
  const srna = g.task("srna", 12_440, finders);
  const parsed = g.task("ffn_parse", 730, [srna]);
  const annotations = [
    ...[g.task("blast_synteny", 3370, [parsed]), g.task("blast_candidate", 600, [srna])],
    ...[g.task("blast_qrna", 440_880, [srna]), g.task("blast_paralogues", 680, [srna])],
  ];
  g.task("annotate", 140, [concat, ...annotations]);
  return g.done("sipht");
}
