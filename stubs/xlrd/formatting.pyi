class Format:
    format_str: str

class XF:
    format_key: int
