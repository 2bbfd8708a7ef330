//! The limits that a user sets on devices.

/// Limits; none unless set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Watts that a GPU may draw, on the mean over some two seconds.
    pub max_power_w: Option<u32>,
    /// Degrees Celsius that a GPU may have.
    pub max_temperature_c: Option<u32>,
    /// Whether devices are left to other programs.
    pub sharing: Sharing,
}

/// Who comes first on a device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sharing {
    /// Filler runs beside other programs.
    #[default]
    WithOthers,
    /// Filler runs while no other program uses the device.
    IdleOnly,
}

impl Limits {
    /// Whether a limit is set that only GPUs have.
    pub fn concern_gpus(&self) -> bool {
        self.max_power_w.is_some() || self.max_temperature_c.is_some()
    }
}

/// What is kept to on one device: the limits as far as they concern it, with what belongs to its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Most watts.
    pub max_power_w: Option<f64>,
    /// Most degrees Celsius.
    pub max_temperature_c: Option<f64>,
    /// What counts as use by others; `None` if that is no concern.
    pub others: Option<OthersRule>,
}

/// What counts as use by others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OthersRule {
    /// A larger share is use.
    pub busy_above: f64,
    /// A share up to this is none; between the two, what was so stays so.
    pub idle_up_to: f64,
    /// Time constant of the mean that is looked at; 0 for the last reading alone.
    pub mean_ms: f64,
}

/// On a GPU, a program that computes counts as 1 at once; a desktop that draws counts by its share, and one that moves a
/// window now and then stays below this.
const GPU_OTHERS: OthersRule = OthersRule {
    busy_above: 0.10,
    idle_up_to: 0.10,
    mean_ms: 0.0,
};

/// On the CPU, background work of a desktop stays below a tenth of the cores, and a compiler or a notebook takes a core
/// of four or more. The mean keeps a process that starts and ends within a blink from counting.
const CPU_OTHERS: OthersRule = OthersRule {
    busy_above: 0.25,
    idle_up_to: 0.15,
    mean_ms: 400.0,
};

impl Rules {
    /// Those of a GPU.
    pub fn of_gpu(limits: &Limits) -> Self {
        Rules {
            max_power_w: limits.max_power_w.map(f64::from),
            max_temperature_c: limits.max_temperature_c.map(f64::from),
            others: (limits.sharing == Sharing::IdleOnly).then_some(GPU_OTHERS),
        }
    }

    /// Those of the CPU, whose power and heat are the mainboard's concern.
    pub fn of_cpu(limits: &Limits) -> Self {
        Rules {
            max_power_w: None,
            max_temperature_c: None,
            others: (limits.sharing == Sharing::IdleOnly).then_some(CPU_OTHERS),
        }
    }
}
