"""What a caller may ask for, and which wishes go together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypedDict, TypeVar

E = TypeVar("E", bound=StrEnum)


class Format(StrEnum):
    """A mesh file's format; the value is its extension without the dot. STL holds no colour, USDZ a texture."""

    PLY = "ply"
    OBJ = "obj"
    GLB = "glb"
    STL = "stl"
    USDZ = "usdz"


class Detail(StrEnum):
    """How fine the surface is sampled."""

    PREVIEW = "preview"  # about 5,000 triangles
    STANDARD = "standard"  # about 40,000 triangles
    FULL = "full"  # the network's full grid, about 200,000 triangles


class Extent(StrEnum):
    """How much of the person the mesh shows."""

    HEAD = "head"  # skull, ears and neck
    FACE = "face"  # what the paper's volume holds: the face, cut flat behind the cheeks


class Topology(StrEnum):
    """Whose vertices the mesh has."""

    VOLUME = "volume"  # marched from the volume: as many as the detail asks for, others for every photo
    HEAD = "head"  # the head model's: the same for every photo, with texture coordinates


class Compression(StrEnum):
    """How a GLB file stores its numbers."""

    NONE = "none"  # floats: what every reader reads
    QUANTISED = "quantised"  # 16 and 8 bit integers: the extension KHR_mesh_quantization
    MESHOPT = "meshopt"  # these compressed: the extension EXT_meshopt_compression


class Priority(StrEnum):
    """Interactive jobs overtake bulk jobs. Also the names of the queues, in the order in which workers look at them."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class OptionError(ValueError):
    """An option is not one that there is, or two do not go together.

    Attributes
    ----------
    field : its name in `Options` or `JobOptions`
    reason : as the service says it
    """

    reason = "OPTION_CONFLICT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Options:
    """Options of a reconstruction. Raises OptionError for a word that there is not and for options that contradict.

    Attributes
    ----------
    format : of the files
    detail : how fine the surface is
    all_faces : every face by descending size, not the largest only
    scene : one file with all faces in place instead of one file a face; needs all_faces
    textured : a texture picture instead of vertex colours; OBJ (then a ZIP) and GLB only; USDZ always has one
    printable : a solid with a flat back to print; an STL always is one, and it always is the face
    extent : the whole head or the face only
    delight : take the photo's light out of the colours, so that the mesh can be lit anew
    topology : the vertices of the volume's surface, or the head model's, registered to it; the latter only for whole
        heads that are no solids. OBJ and GLB then always have the texture
    rigged : a GLB whose face moves: expressions as morph targets on a neutral face, by ARKit's names; implies the
        topology of the head
    neutral : the face without the photo's expression; implies the topology of the head
    compression : of a GLB: a rigged head becomes about half as large quantised, and a third with meshopt
    """

    format: Format = Format.PLY
    detail: Detail = Detail.STANDARD
    all_faces: bool = False
    scene: bool = False
    textured: bool = False
    printable: bool = False
    extent: Extent = Extent.HEAD
    delight: bool = False
    topology: Topology = Topology.VOLUME
    rigged: bool = False
    neutral: bool = False
    compression: Compression = Compression.NONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", choice(Format, "format", self.format))
        object.__setattr__(self, "detail", choice(Detail, "detail", self.detail))
        object.__setattr__(self, "extent", choice(Extent, "extent", self.extent))
        object.__setattr__(self, "compression", choice(Compression, "compression", self.compression))
        if self.compression is not Compression.NONE and self.format is not Format.GLB:
            raise OptionError("compression", "compression needs format glb: the others know none.")
        if self.textured and self.format not in (Format.OBJ, Format.GLB, Format.USDZ):
            raise OptionError("textured", "textured needs format obj, glb or usdz: the others hold no texture.")
        if self.scene and not self.all_faces:
            raise OptionError("scene", "scene needs all_faces.")
        wanted = choice(Topology, "topology", self.topology)
        object.__setattr__(self, "topology", Topology.HEAD if self.rigged or self.neutral else wanted)
        self._check_topology()

    def _check_topology(self) -> None:
        """Raises OptionError where the head model's vertices are wanted of what is no whole head."""
        if self.topology is Topology.VOLUME:
            return
        field = "rigged" if self.rigged else "neutral" if self.neutral else "topology"
        wish = "topology head" if field == "topology" else field
        if self.rigged and self.format is not Format.GLB:
            raise OptionError(field, "rigged needs format glb: the others hold no morph targets.")
        if self.extent is not Extent.HEAD:
            raise OptionError(field, f"{wish} needs extent head.")
        if self.solid:
            raise OptionError(field, f"{wish} makes no solid to print: leave printable and stl out.")
        if self.rigged and self.scene:
            raise OptionError(field, "rigged makes one file a face: leave scene out.")

    @property
    def solid(self) -> bool:
        """Whether the mesh must be printable."""
        return self.printable or self.format is Format.STL

    @property
    def upright(self) -> bool:
        """Whether the mesh stands upright and looks along its z axis, instead of as the photo shows it."""
        return self.rigged or self.neutral

    @property
    def needs_texture(self) -> bool:
        """Whether the mesh must have a texture."""
        of_head = self.topology is Topology.HEAD and self.format in (Format.OBJ, Format.GLB)
        return self.textured or of_head or self.format is Format.USDZ

    @classmethod
    def of(cls, **wanted: Any) -> Self:
        """Options from keywords. Raises OptionError, and TypeError for an option that there is not."""
        return cls(**wanted)


class JobOptions(TypedDict, total=False):
    """The keyword arguments of `submit` and `reconstruct`: those of `Options`, and what only a job has.

    priority : "interactive" (default) or "bulk"
    job_timeout : seconds after which the job expires if it has not ended; default: the service's
    expire_after : seconds after the job's end until it and its meshes are removed; default: as the service has it
    request_id : idempotency key, 1 to 64 of [A-Za-z0-9_-]; default: a new one for this call
    webhook_url : gets a signed POST once the job has ended: docs/webhooks.md
    one_person : the photos are of one person and together give one head
    """

    format: Format | str
    detail: Detail | str
    all_faces: bool
    scene: bool
    textured: bool
    printable: bool
    extent: Extent | str
    delight: bool
    topology: Topology | str
    rigged: bool
    neutral: bool
    compression: Compression | str
    priority: Priority | str
    job_timeout: float | None
    expire_after: float | None
    request_id: str
    webhook_url: str
    one_person: bool


def check_one_person(options: Options) -> None:
    """Raises OptionError for options that do not go together with several photos of one person."""
    if options.all_faces:
        raise OptionError("all_faces", "all_faces and one_person exclude each other: one person has one face a photo.")
    if options.solid or options.extent is Extent.FACE:
        field = "extent" if options.extent is Extent.FACE else "printable"
        raise OptionError(field, f"{field} does not go together with one_person, which gives whole heads.")


def choice(enum: type[E], field: str, word: str) -> E:
    """The member for a caller's word. Raises OptionError, which lists the words that there are."""
    try:
        return enum(word)
    except ValueError:
        raise OptionError(field, f"{field} is {word!r}; it must be one of {', '.join(enum)}.") from None
