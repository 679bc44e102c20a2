"""Which points of the public face mesh topology (478 points) the third look gives.

Lips, eyelids, brows and oval, and others evenly between them.
"""

# fmt: off
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415)
EYES = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
BETWEEN = (5, 6, 34, 35, 36, 94, 108, 116, 118, 137, 151, 187, 210, 213, 214, 216, 217, 219, 266, 280, 337,
           346, 348, 352, 372, 401, 416, 427, 430, 437, 447, 455)
# fmt: on
MIDDLE = (5, 6, 94, 151)  # of the others, on the line that halves the face
PAIRS = ((36, 266), (108, 337), (210, 430), (217, 437), (219, 455))  # of the others, at the same place of both sides
INDICES = (*LIPS, *EYES, *BROWS, *OVAL, *BETWEEN)  # of the face mesh topology, in the order of the network's points
